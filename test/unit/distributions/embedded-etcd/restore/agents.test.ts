import { wakeAgent } from "../../../../../provider/distributions/embedded-etcd/restore/agents";
import { embeddedFacts, rke2Program } from "../../../../support/embedded-facts";
import { type FakeHost, fakeHost } from "../../../../support/fake-host";

jest.mock("node:timers/promises", () => ({ setTimeout: () => Promise.resolve() }));

let clock = 0;
beforeEach(() => {
  clock = 0;
  jest.spyOn(Date, "now").mockImplementation(() => (clock += 5000));
});
afterEach(() => jest.restoreAllMocks());

const since = Date.parse("2026-01-01T00:00:00Z") / 1000;
const agent = (): FakeHost =>
  fakeHost("w1", [
    { to: "hostname", reply: `worker-1\n${since}\n` },
    { to: "systemctl restart", reply: "" },
  ]);
const server = (...beats: readonly string[]): FakeHost =>
  fakeHost("s1", [
    ...beats.map((reply) => ({ to: "get lease worker-1", reply, times: 1 })),
    { to: "get lease worker-1", reply: beats.at(-1) ?? "" },
  ]);

test("an agent whose node shows life in the restored cluster is left alone", async () => {
  const host = agent();
  // What the restored data remembers is no life, however ready it says the node is.
  const reader = server("", "2025-12-31T23:00:00Z\n", "\n2026-01-01T00:00:07Z 2025-12-31T23:00:00Z");
  expect(await wakeAgent(host, undefined, embeddedFacts(), reader)).toBe(false);
  expect(host.transcript).toEqual(["query hostname"]);
});

test.each([
  ["its usual unit", undefined, embeddedFacts(), "k3s-agent.service"],
  ["RKE2's", undefined, embeddedFacts({ program: rke2Program }), "rke2-agent.service"],
  ["its own", "k3s-agent-2.service", embeddedFacts(), "k3s-agent-2.service"],
])("one that shows none is restarted, without waiting for it: %s", async (_, unit, first, restarted) => {
  const host = agent();
  expect(await wakeAgent(host, unit, first, server("2025-12-31T23:00:00Z"))).toBe(true);
  expect(host.scripts.at(-1)).toBe(`systemctl restart --no-block ${restarted}`);
});
