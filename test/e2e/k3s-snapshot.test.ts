// Snapshots of K3s and RKE2 on request: with the distribution's own command, and what is there afterwards.
import { createHash } from "node:crypto";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { silent } from "../../provider/operations/call";
import {
  deleteSnapshot,
  type SnapshotRequest,
  type TakenSnapshot,
  takeSnapshot,
} from "../../provider/operations/take-snapshot";
import { readZip } from "../../provider/snapshot-file/zip";
import { openStore } from "../../provider/stores/open-store";
import { closeConnections } from "../../provider/transport/connect";
import { readEquipment } from "../lab/equipment";
import { k3sNames } from "../lab/k3s-files";
import type { Machine } from "../lab/machine";
import { run } from "../lab/process";
import type { S3 } from "../lab/s3";
import { waitFor } from "../lab/wait";
import { type K3sLab, labelOf, startK3sLab } from "../support/k3s-program";
import { BUCKET } from "../support/lab-program";
import { readable } from "../support/zips";

const [FOLDER, FAULTS] = ["demo", "/run/stand-in-faults"];

/** The servers' own S3 settings: the same place as the tests' own, so that the server sends there itself. */
const sendsToS3 = (s3: S3): Readonly<Record<string, unknown>> => ({
  ...{ "etcd-s3": true, "etcd-s3-endpoint": s3.endpoint, "etcd-s3-bucket": BUCKET, "etcd-s3-folder": FOLDER },
  ...{ "etcd-s3-region": s3.region, "etcd-s3-access-key": s3.accessKeyId, "etcd-s3-secret-key": s3.secretAccessKey },
  "etcd-s3-endpoint-ca": Buffer.from(s3.caPem ?? "").toString("base64"),
});

let k3sLab: K3sLab;
afterEach(async () => {
  for (const machine of k3sLab.lab.machines) if (machine.isRunning) await machine.exec(`rm -rf ${FAULTS}`);
});
afterAll(() => closeConnections());

async function take(request: SnapshotRequest): Promise<{ taken: TakenSnapshot; warnings: string[] }> {
  const warnings: string[] = [];
  const progress = { ...silent, warn: (text: string) => void warnings.push(text) };
  return { taken: await takeSnapshot(k3sLab.cluster, request, { progress }), warnings };
}

const logOf = (machine: Machine): Promise<string> =>
  machine.exec(`journalctl -o cat -u ${k3sNames[k3sLab.k3s.distribution].unit} | grep -i snapshot || :`);

async function turnOn(fault: string): Promise<void> {
  await k3sLab.lab.machine("s1").exec(`mkdir -p ${FAULTS} && : >${FAULTS}/${fault}`);
}

const localPath = ({ fileName }: TakenSnapshot): string =>
  join(k3sLab.lab.machine("s1").root, k3sLab.k3s.dataDir, "server/db/snapshots", fileName);
const objectPath = ({ fileName }: TakenSnapshot): string => join(k3sLab.s3.dir, BUCKET, FOLDER, fileName);
const sha256 = (path: string): string => createHash("sha256").update(readFileSync(path)).digest("hex");
const metadataOf = async ({ fileName }: TakenSnapshot): Promise<Readonly<Record<string, string>> | undefined> =>
  (await openStore(k3sLab.s3Settings, "demo").stat(fileName))?.metadata;

describe.each(["k3s", "rke2"] as const)("%s", (distribution) => {
  describe(`${labelOf(distribution)}, whose servers send nothing to S3`, () => {
    beforeAll(async () => {
      k3sLab = await startK3sLab({ machines: ["s1"], k3s: { distribution } });
    }, 180_000);
    afterAll(() => k3sLab.lab.down());

    test("a local snapshot: its outputs are what etcd's own tool and sha256sum say", async () => {
      const { taken, warnings } = await take({ name: "local" });
      expect(taken.fileName).toMatch(/^local-s1-\d{10}$/);
      expect(taken.locations).toEqual([taken.location]);
      expect(taken.location).toBe(`file://s1${k3sLab.k3s.dataDir}/server/db/snapshots/${taken.fileName}`);
      expect(statSync(localPath(taken)).size).toBe(taken.sizeBytes);
      expect(sha256(localPath(taken))).toBe(taken.sha256);
      const etcdutl = join(readEquipment().etcd["3.6"], "etcdutl");
      expect(await run(etcdutl, ["snapshot", "status", localPath(taken)])).not.toBe("");
      expect(Date.parse(taken.takenAt)).toBeLessThanOrEqual(Date.now());
      expect(warnings).toEqual([]);
    });

    test("deleting one takes exactly its file, and what the cluster remembers of it", async () => {
      const [{ taken: one }, { taken: other }] = [await take({ name: "one" }), await take({ name: "other" })];
      const remembered = (): Promise<string> =>
        k3sLab.k3s.kubectl(k3sLab.lab.machine("s1"), ["get", "etcdsnapshotfile"]);
      expect(await remembered()).toContain(one.fileName);
      // Twice: already gone is not an error.
      for (let i = 0; i < 2; i++) await deleteSnapshot(k3sLab.cluster, one, undefined, { progress: silent });
      expect([existsSync(localPath(one)), existsSync(localPath(other))]).toEqual([false, true]);
      expect(await remembered()).not.toContain(one.fileName);
      expect(await remembered()).toContain(other.fileName);
    });

    test("one for S3 is sent by us, with the distribution's metadata and the version of etcd", async () => {
      const { taken, warnings } = await take({ name: "ours", s3: k3sLab.s3Settings });
      expect(taken.location).toBe(`s3://${BUCKET}/${FOLDER}/${taken.fileName}`);
      expect(sha256(objectPath(taken))).toBe(sha256(localPath(taken)));
      const uid = await k3sLab.k3s.kubectl(k3sLab.lab.machine("s1"), [
        ...["get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}"],
      ]);
      expect(uid).toMatch(/^[0-9a-f-]{36}$/);
      expect(await metadataOf(taken)).toEqual({
        ...{ [`${distribution}-cluster-id`]: uid, [`${distribution}-node-name`]: "s1" },
        [`${distribution}-token-hash`]: createHash("sha256").update(k3sLab.k3s.token).digest("hex").slice(0, 12),
        "etcd-version": taken.etcdVersion,
      });
      expect(taken.etcdVersion).toMatch(/^3\.\d+\.\d+$/);
      expect(warnings).toEqual([]);
    });

    test("a command that reports no failure and saves nothing is a failure, and says why", async () => {
      await turnOn("save-fails");
      await expect(take({ name: "unsaved" })).rejects.toMatchObject({ code: "SNAPSHOT_FAILED", host: "s1" });
    });

    test("while another snapshot is taken it waits for that: the reason is in the server's log alone", async () => {
      const s1 = k3sLab.lab.machine("s1");
      await s1.exec(`mkdir -p ${FAULTS} && echo 4 >${FAULTS}/save-slow`);
      const byHand = k3sLab.k3s.run(s1, ["etcd-snapshot", "save", "--name", "by-hand"]);
      await waitFor("the other is on its way", async () => (await logOf(s1)).includes("/by-hand-s1-") || undefined, {
        deadlineMs: 10_000,
      });
      const { taken } = await take({ name: "after-it" });
      expect((await byHand).code).toBe(0);
      expect(await logOf(s1)).toContain("snapshot save already in progress");
      expect(sha256(localPath(taken))).toBe(taken.sha256);
    });

    test("a snapshot that is cut off on the server's disk is no snapshot", async () => {
      await turnOn("save-short");
      await expect(take({ name: "short" })).rejects.toMatchObject({ code: "SNAPSHOT_CORRUPT" });
    });
  });

  describe(`${labelOf(distribution)}, whose servers send to the same place`, () => {
    beforeAll(async () => {
      k3sLab = await startK3sLab({
        machines: ["s1"],
        k3s: (s3) => ({ distribution, extraConfig: sendsToS3(s3) }),
      });
    }, 180_000);
    afterAll(() => k3sLab.lab.down());

    test("the distribution sends it, and what it writes on it is what we write", async () => {
      const { taken, warnings } = await take({ name: "theirs", s3: k3sLab.s3Settings });
      expect(sha256(objectPath(taken))).toBe(taken.sha256);
      expect(Object.keys((await metadataOf(taken)) ?? {}).sort()).toEqual(
        ["cluster-id", "node-name", "token-hash"].map((name) => `${distribution}-${name}`),
      );
      expect(warnings).toEqual([]);
    });

    test.each([
      ["fails silently", "upload-fails", /could not send .* by itself \(Access Denied\.\)/],
      ["is a lie", "upload-lies", /says that it sent .*, where it was not/],
      ["is cut off", "upload-short", /says that it sent .*, or not whole/],
    ])("its upload %s: we send it, and say so", async (_, fault, warning) => {
      await turnOn(fault);
      const { taken, warnings } = await take({ name: fault, s3: k3sLab.s3Settings });
      expect(sha256(objectPath(taken))).toBe(taken.sha256);
      expect(warnings).toEqual([expect.stringMatching(warning)]);
    });

    test("one that is wanted on the server only goes nowhere else", async () => {
      const { taken } = await take({ name: "here-only" });
      expect(existsSync(localPath(taken))).toBe(true);
      expect(existsSync(objectPath(taken))).toBe(false);
    });

    test("an upload of ours that fails too fails, and says where the snapshot is", async () => {
      await turnOn("upload-fails");
      const wrong = { ...k3sLab.s3Settings, secretAccessKey: "wrong" };
      await expect(take({ name: "nowhere", s3: wrong })).rejects.toMatchObject({
        ...{
          code: "STORE_DENIED",
          message: expect.stringContaining("The snapshot itself was saved: file://s1/") as string,
        },
      });
    });
  });

  test.each(["new", "old"] as const)(`${labelOf(distribution)}, compressed, on the %s version`, async (version) => {
    k3sLab = await startK3sLab({
      machines: ["s1"],
      k3s: { distribution, version, extraConfig: { "etcd-snapshot-compress": true } },
    });
    try {
      const { taken, warnings } = await take({ name: "zipped", s3: k3sLab.s3Settings });
      expect(taken.fileName).toMatch(/^zipped-s1-\d{10}\.zip$/);
      expect(sha256(objectPath(taken))).toBe(sha256(localPath(taken)));
      const entry = await readZip(readable(readFileSync(objectPath(taken))), taken.fileName);
      expect(entry.sizeBytes % 512).toBe(32);
      expect(warnings).toEqual([]);
    } finally {
      await k3sLab.lab.down();
    }
  });

  test(`${labelOf(distribution)}: the old command line saves and sends as well`, async () => {
    k3sLab = await startK3sLab({
      machines: ["s1"],
      k3s: (s3) => ({ distribution, version: "old", extraConfig: sendsToS3(s3) }),
    });
    try {
      const { taken } = await take({ name: "old-cli", s3: k3sLab.s3Settings });
      expect(taken.distributionVersion).toMatch(/^v1\.26\.9\+/);
      expect(sha256(objectPath(taken))).toBe(taken.sha256);
      await turnOn("upload-fails");
      const other = await take({ name: "old-fails", s3: k3sLab.s3Settings });
      expect(sha256(objectPath(other.taken))).toBe(other.taken.sha256);
      expect(other.warnings).toHaveLength(1);
    } finally {
      await k3sLab.lab.down();
    }
  });
});
