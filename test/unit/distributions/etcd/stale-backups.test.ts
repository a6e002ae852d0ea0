import { staleSince } from "../../../../provider/distributions/etcd/stale-backups";
import { etcdFacts } from "../../../support/etcd-facts";

const midnight = Date.parse("2026-01-02T00:00:00Z") / 1000;
const [hour, grace] = [3600, 15 * 60];

/** A server, so long after midnight by its own clock, whose last snapshot is of midnight unless it says otherwise. */
function since(
  seconds: number,
  own: { last?: string | null; configured?: number; step?: string } = {},
): string | undefined {
  const { last = "2026-01-02T00:00:00Z", configured = midnight - 1000 * hour, step = "done" } = own;
  const facts = etcdFacts({
    clock: midnight + seconds,
    backups: {
      files: [configured - 10, configured].map((changedAt) => ({
        ...{ path: "/f", mode: "600", owner: "root", sha256: "" },
        changedAt,
      })),
      status: step === "" ? "" : JSON.stringify({ ok: true, step, lastSuccessAt: last }),
    },
  });
  return staleSince("0 */6 * * *", facts);
}

test("a snapshot is owed for one interval and a quarter of an hour, to the second", () => {
  expect(since(6 * hour + grace)).toBeUndefined();
  expect(since(6 * hour + grace + 1)).toBe(
    "schedule: the newest snapshot is of 2026-01-02T00:00:00Z, one was due by 2026-01-02T06:15:00.000Z",
  );
});

test("before the first run the wait began when the backups were configured", () => {
  const fresh = { step: "", configured: midnight };
  expect(since(6 * hour + grace, fresh)).toBeUndefined();
  expect(since(6 * hour + grace + 1, fresh)).toContain("the newest snapshot is of never");
});

test("runs that only ever failed leave nothing newer", () => {
  expect(since(6 * hour + grace + 1, { step: "upload", last: null, configured: midnight })).toContain("never");
});

test("configured anew, the wait begins anew", () => {
  expect(since(10 * hour, { configured: midnight + 5 * hour })).toBeUndefined();
});

test("a learner owes nothing", () => {
  expect(since(1000 * hour, { step: "learner" })).toBeUndefined();
});

test("a status that is not ours counts as none", () => {
  const facts = etcdFacts({
    clock: midnight + 6 * hour,
    backups: { files: [{ path: "/f", mode: "600", owner: "root", sha256: "", changedAt: midnight }], status: "{" },
  });
  expect(staleSince("0 */6 * * *", facts)).toBeUndefined();
});
