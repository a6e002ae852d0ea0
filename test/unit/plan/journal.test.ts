import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { type Attempt, journalFor, readOpenAttempt } from "../../../provider/plan/journal";
import { sh } from "../../../provider/transport/shell";
import { type ScriptHost, scriptHost } from "../../support/script-host";

const attempt: Attempt = {
  ...{ attempt: "20260101T000000Z", identity: "0123456789abcdef", quorumBefore: true, revisionBefore: 77 },
  snapshot: { location: "s3://b/prod/x.db", sizeBytes: 4128, takenAt: "2025-12-31T00:00:00.000Z" },
};

describe("what the journals say together", () => {
  const opened = (at: number, name = "a1"): string =>
    `open\t${at}\t${name}\tid-${name} quorum 77 4128 2025-12-31T00:00:00.000Z s3://b/prod/x.db\n`;

  test.each([
    ["no server has one", ["", ""]],
    ["all have closed it", [`${opened(1)}closed\t2\tdone\t\n`, `${opened(1)}closed\t2\tdone\t\n`]],
    ["one has closed it before the other was told", [`${opened(1)}closed\t2\tdone\t\n`, opened(1)]],
    [
      "there is a closed one, and garbage",
      ["\n\tclosed\nopening\t9\tx\n\0\0\n", `${opened(1)}closed\t2\tabandoned\t\n`],
    ],
  ])("nothing is open when %s", (_, journals) => {
    expect(readOpenAttempt(journals)).toBeUndefined();
  });

  test("an attempt is open when no server has closed it, whoever took part", () => {
    expect(readOpenAttempt(["", opened(5), ""])).toEqual({
      ...{
        attempt: "a1",
        identity: "id-a1",
        quorumBefore: true,
        revisionBefore: 77,
        began: new Set(),
        done: new Set(),
        undone: new Set(),
        crossed: false,
      },
      snapshot: attempt.snapshot,
    });
  });

  test("the newest attempt counts, and of others nothing", () => {
    const first = `${opened(1, "a1")}begin\t2\ts1:stop\tboot\ndone\t3\ts1:stop\t\ncrossed\t4\t\t\n`;
    const both = `${first}closed\t5\tsuperseded\t\n${opened(6, "a2")}begin\t7\ts1:stage\tboot\n`;
    // The third server was away when the second attempt began.
    const open = readOpenAttempt([both, both, first]);
    expect(open).toMatchObject({ attempt: "a2", began: new Set(["s1:stage"]), done: new Set(), crossed: false });
  });

  test("steps of all servers are counted; what was undone is not", () => {
    const open = readOpenAttempt([
      `${opened(1)}begin\t2\ts1:stop\tb\ndone\t3\ts1:stop\t\nbegin\t4\ts1:swap\tb\nundone\t5\ts1:swap\t\n`,
      `${opened(1)}begin\t2\ts2:stop\tb\n`,
    ]);
    expect(open).toMatchObject({
      began: new Set(["s1:stop", "s2:stop"]),
      done: new Set(["s1:stop"]),
      undone: new Set(["s1:swap"]),
    });
  });

  test("it is crossed for all as soon as one server says so", () => {
    expect(readOpenAttempt([opened(1), `${opened(1)}crossed\t2\t\t\n`])?.crossed).toBe(true);
  });

  test("a last line that was cut off, and lines of nobody's, are passed over", () => {
    const open = readOpenAttempt([`not a line\n${opened(1)}done\t3\ts1:stop\t\ndo`]);
    expect(open?.done).toEqual(new Set(["s1:stop"]));
  });
});

describe("what is written", () => {
  let hosts: ReadonlyMap<string, ScriptHost>;
  const one = (name: string): ScriptHost => {
    const host = hosts.get(name);
    if (host === undefined) throw new Error(`no host ${name}`);
    return host;
  };
  const journal = (name: string): string => `${one(name).root}/state/prod/journal`;
  const read = (): string[] => [...hosts.keys()].map((name) => readFileSync(journal(name), "utf8"));
  const lines = (name: string): string[] =>
    readFileSync(journal(name), "utf8")
      .trimEnd()
      .split("\n")
      .map((line) =>
        line
          .split("\t")
          .filter((_, index) => index === 0 || index === 2)
          .join(" ")
          .trim(),
      );

  beforeEach(() => {
    hosts = new Map(["s1", "s2"].map((name) => [name, scriptHost(name)]));
    for (const { root } of hosts.values()) mkdirSync(`${root}/state/prod`, { recursive: true });
  });
  afterEach(() => {
    for (const host of hosts.values()) host.remove();
  });

  test.each([
    ["as it is", attempt],
    [
      "with spaces in its place",
      { ...attempt, snapshot: { ...attempt.snapshot, location: "file://s1/my  own/it's $HOME.db" } },
    ],
    ["without a quorum before", { ...attempt, quorumBefore: false }],
  ])("an attempt is read back %s", async (_, given) => {
    await journalFor("prod", hosts).open(given);
    expect(readOpenAttempt(read())).toEqual({
      ...given,
      ...{ began: new Set(), done: new Set(), undone: new Set(), crossed: false },
    });
  });

  test("a step's first change writes its beginning, in the machine's boot; the next writes what was noted", async () => {
    const own = journalFor("prod", hosts);
    await own.open(attempt);
    const host = own.hostFor("s1:stop", one("s1"));
    await host.run(sh`true`);
    await host.run(sh`true`);
    expect(lines("s1")).toEqual(["open 20260101T000000Z", "begin s1:stop"]);
    expect(read()[0]?.trimEnd().split("\t").at(-1)).toBe(
      readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim(),
    );
    own.note("s1", "done", "s1:stop");
    expect(lines("s1")).toHaveLength(2);
    await own.hostFor("s1:swap", one("s1")).run(sh`true`);
    expect(lines("s1").slice(2)).toEqual(["done s1:stop", "begin s1:swap"]);
    expect(lines("s2")).toEqual(["open 20260101T000000Z"]);
  });

  test("a step that only looks has not begun", async () => {
    const own = journalFor("prod", hosts);
    await own.open(attempt);
    await own.hostFor("s1:verify", one("s1")).query(sh`true`);
    expect(lines("s1")).toHaveLength(1);
  });

  test("the beginning is written even when the change fails", async () => {
    const own = journalFor("prod", hosts);
    await own.open(attempt);
    await expect(own.hostFor("s1:stop", one("s1")).run(sh`exit 3`)).rejects.toMatchObject({ exitCode: 3 });
    expect(readOpenAttempt(read())?.began).toEqual(new Set(["s1:stop"]));
  });

  test("a server that cannot write its journal does not change", async () => {
    const own = journalFor("prod", hosts);
    const changed = `${one("s1").root}/changed`;
    one("s1").stub("date", "mv $ROOT/state/prod $ROOT/gone");
    await expect(own.hostFor("s1:stop", one("s1")).run(sh`touch ${changed}`)).rejects.toThrow();
    expect(existsSync(changed)).toBe(false);
  });

  test("putting back is no beginning, and needs a journal only for what was noted", async () => {
    const own = journalFor("prod", hosts);
    await own.open(attempt);
    one("s1").stub("date", "exit 1");
    const changed = `${one("s1").root}/changed`;
    await own.hostForUndo(one("s1")).run(sh`touch ${changed}`);
    expect(existsSync(changed)).toBe(true);
    own.note("s2", "undone", "s2:start");
    await own.hostForUndo(one("s2")).run(sh`true`);
    expect([lines("s1"), lines("s2")]).toEqual([
      ["open 20260101T000000Z"],
      ["open 20260101T000000Z", "undone s2:start"],
    ]);
  });

  test("closing writes to every server, and what was noted before it", async () => {
    const own = journalFor("prod", hosts);
    await own.open(attempt);
    own.note("s2", "undone", "s2:swap");
    await own.close("abandoned");
    expect([lines("s1").at(-1), ...lines("s2").slice(-2)]).toEqual([
      "closed abandoned",
      "undone s2:swap",
      "closed abandoned",
    ]);
    expect(readOpenAttempt(read())).toBeUndefined();
  });

  test("crossing is on every server before anything else happens", async () => {
    const own = journalFor("prod", hosts);
    await own.open(attempt);
    await own.crossed();
    expect(["s1", "s2"].map((name) => lines(name).at(-1))).toEqual(["crossed", "crossed"]);
  });

  test("a file of a step goes the same way as its scripts", async () => {
    const own = journalFor("prod", hosts);
    await own.open(attempt);
    await own.hostFor("s1:stop", one("s1")).writeFile(`${one("s1").root}/it's`, "text", { mode: 0o600 });
    expect(readFileSync(`${one("s1").root}/it's`, "utf8")).toBe("text");
    expect(lines("s1").at(-1)).toBe("begin s1:stop");
  });
});
