import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { hostname, userInfo } from "node:os";
import { describeHolder, isDead, thisProcess } from "../../../provider/plan/holder";

const here = (pid: number | undefined, start: string | undefined): string =>
  `${userInfo().username}@${hostname()} ${pid ?? ""} ${start ?? ""}`;
const [, , started = ""] = thisProcess().split(" ");
const [boot, namespace] = [started.slice(0, 36), started.slice(37, started.lastIndexOf(":"))];

test("people are told who it is, without the start time", () => {
  expect(describeHolder("ops@laptop 4711 boot:ns:1")).toBe("ops@laptop (process 4711)");
  expect([describeHolder("ops@laptop"), describeHolder("")]).toEqual(["ops@laptop", ""]);
});

test("this process is alive", () => {
  expect(started).toMatch(/^[0-9a-f-]{36}:pid:\[\d+\]:\d+$/);
  expect(isDead(thisProcess())).toBe(false);
});

test("a process of this machine that has ended is dead, also when another has its number now", async () => {
  const child = spawn("sleep", ["60"]);
  const ended = new Promise((resolve) => child.on("close", resolve));
  const ticks = readFileSync(`/proc/${child.pid}/stat`, "utf8")
    .replace(/^.*\) /s, "")
    .split(" ")[19];
  const holder = here(child.pid, `${boot}:${namespace}:${ticks}`);
  expect(isDead(holder)).toBe(false);
  expect(isDead(here(child.pid, `${boot}:${namespace}:1`))).toBe(true);
  child.kill("SIGKILL");
  await ended;
  expect(isDead(holder)).toBe(true);
});

test.each([
  ["on another machine", `ops@elsewhere 999999999 ${boot}:${namespace}:1`],
  ["of an earlier boot, perhaps of a machine with the same name", here(999_999_999, `other:${namespace}:1`)],
  ["in another container", here(999_999_999, `${boot}:pid:[1]:1`)],
  ["whose start is not known", here(999_999_999, "-")],
  ["whose number is none", here(undefined, "")],
  ["that nobody wrote", ""],
])("nobody can say that a holder %s is dead", (_, holder) => {
  expect(isDead(holder)).toBe(false);
});
