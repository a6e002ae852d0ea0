import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { scheduledBackups } from "../../../../../provider/distributions/embedded-etcd/backups/backups";
import { dropIn } from "../../../../../provider/distributions/embedded-etcd/backups/drop-in";
import type { EmbeddedFacts } from "../../../../../provider/distributions/embedded-etcd/facts";
import type { BackupsLook } from "../../../../../provider/distributions/distribution";
import type { BackupSettings, Cluster } from "../../../../../provider/model";
import { embeddedFacts, k3sProgram, type GivenEmbeddedFacts } from "../../../../support/embedded-facts";
import { type ScriptHost, scriptHost } from "../../../../support/script-host";

const cluster: Cluster = { distribution: "k3s", name: "prod", servers: [{ name: "s1" }] };
const settings: BackupSettings = {
  ...{ schedule: "0 0 * * *", retention: 8, snapshotName: "etcd-snapshot", enabled: true },
};
const backups = scheduledBackups(k3sProgram);
const { restarts } = backups;

let host: ScriptHost;
let configFile: string;
let path: string;
beforeEach(() => {
  host = scriptHost();
  configFile = join(host.root, "k3s/config.yaml");
  path = `${configFile}.d/60-etcd-backup.yaml`;
});
afterEach(() => host.remove());

describe("putting right", () => {
  test("writes our file as 0600, whole, and makes the directory that is declared as 0700", async () => {
    const directory = join(host.root, "snapshots/etcd");
    const declared = { ...settings, directory };
    await host.run(backups.putRight(cluster, declared, look()));
    expect(readFileSync(path, "utf8")).toBe(dropIn(cluster, declared, facts()).content);
    expect([modeOf(path), modeOf(directory)]).toEqual(["600", "700"]);
  });

  test("leaves a directory that is there as it is", async () => {
    const directory = join(host.root, "snapshots");
    mkdirSync(directory, { mode: 0o750 });
    await host.run(backups.putRight(cluster, { ...settings, directory }, look()));
    expect(modeOf(directory)).toBe("750");
  });

  test("only closes a file that says the right thing: one that is written asks for a restart", async () => {
    host.stub("chown", `echo "$*" >>"$ROOT/chown"`);
    const there = installed(dropIn(cluster, settings, facts()).content, "644");
    const before = statSync(path).mtimeMs;
    expect(restarts?.isDue(cluster, settings, look(there))).toBe(false);
    await host.run(backups.putRight(cluster, settings, look(there)));
    expect([modeOf(path), statSync(path).mtimeMs]).toEqual(["600", before]);
    expect(readFileSync(join(host.root, "chown"), "utf8")).toBe(`root:root ${path}\n`);
  });
});

describe("a restart is due", () => {
  const written = (): GivenEmbeddedFacts => installed(dropIn(cluster, settings, facts()).content);

  test.each<[string, () => GivenEmbeddedFacts, Partial<BackupSettings>, boolean]>([
    ["where our file is missing", () => ({}), {}, true],
    ["where it says something else", () => installed("etcd-s3: true\n"), {}, true],
    ["not where all is as declared", written, {}, false],
    ["where the file is newer than the server", () => ({ ...written(), startedAt: 1 }), {}, true],
    ["never where somebody else restarts", () => ({}), { restart: "none" }, false],
    ["never where nothing runs", () => ({ unitActive: false }), {}, false],
  ])("%s", (_, given, more, due) => {
    expect(restarts?.isDue(cluster, { ...settings, ...more }, look(given()))).toBe(due);
  });
});

describe("putting back", () => {
  test("the file that was there", async () => {
    const before = facts(installed("# old\netcd-s3: true\n", "640"));
    await host.run(backups.putRight(cluster, settings, { ...look(), facts: before }));
    await host.run(putBack(before));
    expect([readFileSync(path, "utf8"), modeOf(path)]).toEqual(["# old\netcd-s3: true\n", "640"]);
  });

  test("nothing, where there was nothing", async () => {
    await host.run(backups.putRight(cluster, settings, look()));
    await host.run(putBack(facts()));
    expect(existsSync(path)).toBe(false);
  });
});

describe("removing", () => {
  test("takes our file, and the folder only when it is empty then", async () => {
    installed("etcd-s3: true\n");
    await host.run(backups.remove(cluster, facts()));
    expect(existsSync(`${configFile}.d`)).toBe(false);
    installed("etcd-s3: true\n");
    writeFileSync(`${configFile}.d/own.yaml`, "");
    await host.run(backups.remove(cluster, facts()));
    expect([existsSync(path), existsSync(`${configFile}.d/own.yaml`)]).toEqual([false, true]);
    await host.run(backups.remove(cluster, facts()));
  });

  test("deletes the Secret that our file names when it is ours, and no other", async () => {
    host.stub("k3s", `case "$*" in *" get "*) cat "$ROOT/secret" ;; *) echo "$*" >>"$ROOT/told" ;; esac`);
    const named = facts({ ...installed("etcd-s3: true\netcd-s3-config-secret: mine\n"), binary: "k3s" });
    const command = backups.removeOnce?.(named);
    if (command === undefined) throw new Error("there is a Secret");
    writeFileSync(join(host.root, "secret"), '{"metadata":{"labels":{}}}');
    await host.run(command);
    expect(existsSync(join(host.root, "told"))).toBe(false);
    writeFileSync(join(host.root, "secret"), '{"metadata":{"labels":{"x":"pulumi-etcd-backup"}}}');
    await host.run(command);
    expect(readFileSync(join(host.root, "told"), "utf8")).toContain("delete secret mine");
  });

  test("leaves the Secret that is still declared, or still read by servers that nobody restarts", () => {
    const named = facts({ ...installed("etcd-s3-config-secret: mine\n"), binary: "k3s" });
    const declared = { ...settings, s3: { bucket: "b", configSecret: "mine" } };
    expect(backups.removeOnce?.(named, declared)).toBeUndefined();
    expect(backups.removeOnce?.(named, { ...settings, restart: "none" })).toBeUndefined();
    expect(backups.removeOnce?.(named, settings)).toBeDefined();
  });

  test("leaves a Secret that another file names", () => {
    const configFiles = [{ path: configFile, text: "etcd-s3-config-secret: theirs\n" }];
    expect(backups.removeOnce?.(facts({ configFiles }))).toBeUndefined();
  });
});

describe("the snapshot that did not come", () => {
  const saved = 'time="x" level=info msg="Snapshot etcd-snapshot-s1-1767225600 saved."';
  const k3s = (text: string): void => host.stub("k3s", text);
  const save = (given: GivenEmbeddedFacts = {}): Promise<unknown> =>
    host.run(backups.saveNow(cluster, look({ ...given, binary: "k3s", snapshotDirectory: host.root })));
  const file = (name: string): string => `echo data >"$ROOT/${name}"`;

  test("is taken under the scheduled name", async () => {
    k3s(`echo "$*" >"$ROOT/told"; ${file("etcd-snapshot-s1-1767225600")}; echo '${saved}' >&2`);
    await save();
    expect(readFileSync(join(host.root, "told"), "utf8")).toMatch(/^etcd-snapshot save --name=etcd-snapshot /);
  });

  test.each<[string, string, GivenEmbeddedFacts, RegExp]>([
    ["fails with what the command says", "echo FATA >&2; exit 1", {}, /FATA/],
    ["fails when the command ends well without a file", `echo '${saved}' >&2`, {}, /there is no new snapshot/],
    [
      "is not one of another base that begins the same",
      `${file("etcd-snapshot-pre-s1-1767225600")}; echo '${saved}' >&2`,
      {},
      /there is no new snapshot/,
    ],
    ["is not an empty file", `: >"$ROOT/etcd-snapshot-s1-1767225600"; echo '${saved}' >&2`, {}, /there is no new/],
    [
      "fails when its upload did, although the command ends well",
      `${file("etcd-snapshot-s1-1767225600")}; echo '${saved}' >&2`,
      { configFiles: [{ path: "/etc/rancher/k3s/config.yaml", text: "etcd-s3: true\n" }] },
      /its upload to S3 failed/,
    ],
  ])("%s", async (_, text, given, message) => {
    k3s(text);
    await expect(save(given)).rejects.toThrow(message);
  });
});

function facts(given: GivenEmbeddedFacts = {}): EmbeddedFacts {
  return embeddedFacts({ configFile, ...given });
}

function look(given: GivenEmbeddedFacts = {}): BackupsLook<EmbeddedFacts> {
  return {
    ...{ facts: facts(given), drift: [], stale: undefined, directory: "", timer: "active", schedule: [] },
    ...{ retention: undefined, lastSnapshotAt: undefined, lastFailure: undefined },
  };
}

/** Puts our file there with this content, and tells the facts of it. */
function installed(text: string, mode = "600"): GivenEmbeddedFacts {
  mkdirSync(`${configFile}.d`, { recursive: true });
  writeFileSync(path, text, { mode: Number.parseInt(mode, 8) });
  return { configFiles: [{ path, mode, text: text.trimEnd() }] };
}

function putBack(before: EmbeddedFacts): ReturnType<NonNullable<typeof restarts>["putBack"]> {
  if (restarts === undefined) throw new Error("it restarts");
  return restarts.putBack(before);
}

function modeOf(file: string): string {
  return (statSync(file).mode & 0o777).toString(8);
}
