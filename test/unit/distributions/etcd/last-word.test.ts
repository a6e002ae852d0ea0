import type { BackupFacts } from "../../../../provider/distributions/etcd/facts";
import { declaredCommand, lastWord, othersDropIns } from "../../../../provider/distributions/etcd/last-word";

const night = "/etc/systemd/system/etcd-backup-prod.timer.d/zz-night.conf";
const timersLast = "/etc/systemd/system/etcd-backup-prod.timer.d/~~etcd-backup.conf";
const asDeclared: BackupFacts = {
  ...{ files: [], settings: "", timerActive: true, timerEnabled: true, dropIns: [], needsReload: false, status: "" },
  ...{ calendar: ["*-*-* 04:30:00"], declaredCalendar: ["*-*-* 04:30:00"], commands: [declaredCommand("prod")] },
  lastRunResult: undefined,
};

test("units that nobody overrides need no drop-in", () => {
  expect(lastWord("prod", "30 4 * * *", asDeclared)).toEqual([]);
});

test("a drop-in that changes nothing we declare is left alone", () => {
  expect(lastWord("prod", "30 4 * * *", { ...asDeclared, dropIns: [night] })).toEqual([]);
});

test("a drop-in that sets other times is answered by one that is read later", () => {
  const facts = { ...asDeclared, dropIns: [night], calendar: ["*-*-* 03:00:00"] };
  expect(lastWord("prod", "30 4 * * *", facts)).toEqual([
    { path: timersLast, content: "[Timer]\nOnCalendar=\nOnCalendar=*-*-* 04:30:00\n", mode: 0o644, secret: false },
  ]);
  expect([night, timersLast].sort().at(-1)).toBe(timersLast);
});

test("so is one that runs something else", () => {
  const other = "/etc/systemd/system/service.d/all.conf";
  const [file] = lastWord("prod", "30 4 * * *", { ...asDeclared, dropIns: [other], commands: ["/bin/true"] });
  expect(file?.path).toBe("/etc/systemd/system/etcd-backup-prod.service.d/~~etcd-backup.conf");
  expect(file?.content).toBe(`[Service]\nExecStart=\nExecStart=${declaredCommand("prod")}\n`);
});

test("once there, it follows the schedule", () => {
  const ours = { path: timersLast, mode: "644", owner: "root", changedAt: 1, sha256: "x" };
  const [file] = lastWord("prod", "15 5 * * *", { ...asDeclared, files: [ours], dropIns: [night, timersLast] });
  expect(file?.content).toContain("05:15:00");
});

test("ours is none of the others'", () => {
  expect(othersDropIns("prod", "timer", { ...asDeclared, dropIns: [night, timersLast] })).toEqual([night]);
});
