import { spaceFindings } from "../../../provider/distributions/free-space";
import { fakeHost } from "../../support/fake-host";
import { type ScriptHost, scriptHost } from "../../support/script-host";

let host: ScriptHost | undefined;
afterEach(() => host?.remove());

const mebi = 1024 * 1024;
const needs = [
  { path: "/var/lib/a", bytes: 150 * mebi },
  { path: "/var/lib/b", bytes: 174 * mebi },
];

/** What is found with so many MiB free on the file systems of both paths. */
async function found(a: number, b: number, deviceOfB = 2): Promise<string[]> {
  const df = `1 ${a * 1024}\n${deviceOfB} ${b * 1024}\n`;
  return (await spaceFindings(fakeHost("s1", [{ to: "df -Pk", reply: df }]), needs)).map(({ text }) => text);
}

test("what fits exactly is enough", async () => {
  expect(await found(150, 174)).toEqual([]);
});

test("each file system that is too full is told, with what it lacks", async () => {
  expect(await found(149, 174)).toEqual(["s1: no space: a restore needs 150 MiB for a while, 149 MiB are free"]);
  expect(await found(150, 173)).toEqual(["s1: no space: a restore needs 174 MiB for a while, 173 MiB are free"]);
  expect(await found(0, 0)).toHaveLength(2);
});

test("what lies on one file system is added up", async () => {
  expect(await found(324, 324, 1)).toEqual([]);
  expect(await found(323, 323, 1)).toEqual(["s1: no space: a restore needs 324 MiB for a while, 323 MiB are free"]);
});

test("a path that is not there yet lies where its parent does", async () => {
  host = scriptHost();
  const enough = { path: `${host.root}/it's "not" there/yet`, bytes: 1 };
  expect(await spaceFindings(host, [enough])).toEqual([]);
  expect(await spaceFindings(host, [{ ...enough, bytes: 1e18 }])).toEqual([
    { code: "NO_SPACE", text: expect.stringMatching(/^s1: no space: .* [1-9]\d* (K|M)iB are free$/) as string },
  ]);
});

test.each([
  [1, "1 KiB"],
  [10 * mebi - 1, "10240 KiB"],
  [10 * mebi, "10 MiB"],
])("%i bytes needed read as %s", async (bytes, text) => {
  const full = fakeHost("s1", [{ to: "df -Pk", reply: "1 0\n" }]);
  expect(await spaceFindings(full, [{ path: "/x", bytes }])).toEqual([
    { code: "NO_SPACE", text: `s1: no space: a restore needs ${text} for a while, 0 KiB are free` },
  ]);
});
