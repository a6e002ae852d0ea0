import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { RestoreStagesRequest } from "../../../../../provider/distributions/distribution";
import { restorePlaces } from "../../../../../provider/distributions/embedded-etcd/restore/restore-places";
import { stageSnapshot, tokensIn } from "../../../../../provider/distributions/embedded-etcd/restore/stage-snapshot";
import { hashToken } from "../../../../../provider/distributions/embedded-etcd/token";
import type { Host } from "../../../../../provider/transport/host";
import { embeddedFacts } from "../../../../support/embedded-facts";
import { type ScriptHost, scriptHost } from "../../../../support/script-host";
import { snapshotBytes } from "../../../../support/snapshot-bytes";
import { zipOf } from "../../../../support/zips";

const facts = embeddedFacts({ tokenHash: hashToken("a-token") });
const places = restorePlaces("prod", facts, "a1");
const plain = "before-s1-1767225600";
const sound = snapshotBytes(4);

let host: ScriptHost;
beforeEach(() => {
  host = scriptHost();
  host.stub("sync", "");
});
afterEach(() => host.remove());

test("a snapshot is fetched, and whole before anything stops", async () => {
  await stage(plain, sound);
  expect(staged()).toEqual(sound);
});

test("one that is there already is not fetched again", async () => {
  await stage(plain, sound);
  await stage(plain, undefined);
});

test("one of which a part is there is fetched again", async () => {
  mkdirSync(inState(""), { recursive: true });
  writeFileSync(inState("snapshot"), sound.subarray(0, 700));
  await stage(plain, sound);
  expect(staged()).toEqual(sound);
});

test("a compressed one is unpacked by us, for root alone, and its zip goes", async () => {
  await stage(`${plain}.zip`, zipOf([{ name: plain, bytes: sound }]));
  expect(staged()).toEqual(sound);
  expect(statSync(inState("snapshot")).mode & 0o777).toBe(0o600);
  expect(readdirSync(inState(""))).toEqual(["snapshot"]);
});

describe("refused while everything still runs", () => {
  const broken = Buffer.from(sound);
  broken.writeUInt8(broken.readUInt8(9) ^ 1, 9);
  test.each<[string, string, Buffer]>([
    ["empty", plain, Buffer.of()],
    ["cut off", plain, sound.subarray(0, 1000)],
    ["changed", plain, broken],
    ["a zip of a changed one", `${plain}.zip`, zipOf([{ name: plain, bytes: broken }])],
    ["no zip", `${plain}.zip`, sound],
    [
      "a zip of two files",
      `${plain}.zip`,
      zipOf([
        { name: plain, bytes: sound },
        { name: "more", bytes: sound },
      ]),
    ],
    ["a zip that would write elsewhere", `${plain}.zip`, zipOf([{ name: "../../etc/passwd", bytes: sound }])],
  ])("%s", async (_, name, bytes) => {
    await expect(stage(name, bytes)).rejects.toMatchObject({ code: "SNAPSHOT_CORRUPT" });
  });

  test("what could not be fetched", async () => {
    await expect(stage(plain, undefined)).rejects.toThrow("nothing is fetched");
  });

  test("what was taken with another token; which, is told by hashes alone", async () => {
    const other = snapshotOf("another");
    await expect(stage(plain, other)).rejects.toMatchObject({
      code: "TOKEN_MISMATCH",
      message: expect.stringMatching(
        new RegExp(`${hashToken("another")}.*${hashToken("a-token")}[^]*\`token\`.*Nothing was touched`),
      ) as string,
    });
    await stage(plain, other, "another");
    await expect(stage(plain, other, "a third")).rejects.toMatchObject({
      ...{ code: "TOKEN_MISMATCH", message: expect.not.stringContaining("a third") as string },
    });
  });
});

test("after a change of tokens a snapshot may hold both: either will do", async () => {
  const both = snapshotOf("a-token", "another");
  await stage(plain, both);
  await stage(plain, both, "another");
});

describe("the tokens of a snapshot", () => {
  const inFile = async (bytes: Uint8Array): Promise<readonly string[]> => {
    const path = join(host.root, "a file's $name");
    writeFileSync(path, bytes);
    return tokensIn(host, path);
  };

  test("are found in the middle of anything, each once", async () => {
    const key = `/bootstrap/${hashToken("x")}`;
    const noise = Buffer.from([0, 255, 254, 10, 13, 0, 0xc3, 0x28]);
    const bytes = Buffer.concat([noise, Buffer.from(key), noise, Buffer.from(`${key}\x01`), noise]);
    expect(await inFile(bytes)).toEqual([hashToken("x")]);
  });

  test("are none in a snapshot without them, and none where there is no file", async () => {
    expect(await inFile(Buffer.from("/bootstrap/0123 /bootstrap"))).toEqual([]);
    expect(await tokensIn(host, "/nowhere")).toEqual([]);
  });

  test("are unknown where grep cannot look for them: then nothing is refused", async () => {
    host.stub("grep", "echo 'grep: unrecognized option: o' >&2; exit 2");
    await stage(plain, snapshotOf("another"));
  });
});

/** A snapshot whose bootstrap data lies under these tokens' names. */
function snapshotOf(...tokens: readonly string[]): Buffer {
  return snapshotBytes(4, undefined, tokens.map((token) => `/bootstrap/${hashToken(token)}`).join("\0"));
}

/** Stages what the test has; undefined: there is nothing to fetch. */
async function stage(name: string, bytes: Buffer | undefined, token?: string): Promise<void> {
  const fetch = (_: string, path: string): Promise<void> => {
    if (bytes === undefined) return Promise.reject(new Error("nothing is fetched here"));
    writeFileSync(inState(basename(path)), bytes);
    return Promise.resolve();
  };
  const request = { fetch, snapshotName: name } as Partial<RestoreStagesRequest> as RestoreStagesRequest;
  const reading: Host = {
    ...host,
    readRange: (path, offset, length) =>
      Promise.resolve(new Uint8Array(readFileSync(inState(basename(path))).subarray(offset, offset + length))),
  };
  await stageSnapshot(reading, facts, places, request, token);
}

function staged(): Buffer {
  return readFileSync(inState("snapshot"));
}

function inState(name: string): string {
  return join(host.root, "state/prod/restore-a1", name);
}
