import { randomUUID } from "node:crypto";
import type { K3sCluster } from "../lab/k3s";
import { k3sNames } from "../lab/k3s-files";
import type { Machine } from "../lab/machine";
import type { S3 } from "../lab/s3";
import { waitFor } from "../lab/wait";
import { BUCKET } from "./lab-program";

/** Written before a snapshot: a key, and an object of Kubernetes with its UID beside that of the cluster. */
export interface Canary {
  readonly name: string;
  readonly uids: string;
}

/** Writes what has to be there again after a restore. */
export async function writeCanary(k3s: K3sCluster, name: string): Promise<Canary> {
  const first = firstOf(k3s);
  await k3s.putKeys(first, { [`canary/${name}`]: "x" });
  await k3s.kubectl(first, ["create", "configmap", `canary-${name}`, "--from-literal=a=b"]);
  return { name, uids: await uidsOf(k3s, first, name) };
}

/** Writes what has to be gone after a restore. */
export async function writeAfter(k3s: K3sCluster, name: string): Promise<void> {
  const first = firstOf(k3s);
  await k3s.putKeys(first, { [`after/${name}`]: "x" });
  // It may be there already, where a restore that failed has rightly left it.
  const there = await k3s.kubectl(first, ["get", "configmap", "--ignore-not-found", `after-${name}`]);
  if (there === "") await k3s.kubectl(first, ["create", "configmap", `after-${name}`, "--from-literal=a=b"]);
}

/** What etcd and the API servers have to say of a restored cluster, asked on every server. */
export async function proveK3sRestored(
  k3s: K3sCluster,
  canary: Canary,
  nodes: readonly string[] = k3s.servers.map(({ name }) => name),
): Promise<void> {
  await k3s.healthy();
  for (const server of k3s.servers) {
    expect([server.name, await k3s.keys(server, `canary/${canary.name}`)]).toEqual([
      server.name,
      [`canary/${canary.name}`],
    ]);
    expect([server.name, await k3s.keys(server, `after/${canary.name}`)]).toEqual([server.name, []]);
    expect([server.name, await uidsOf(k3s, server, canary.name)]).toEqual([server.name, canary.uids]);
    const after = await k3s.kubectl(server, ["get", "configmap", "--ignore-not-found", `after-${canary.name}`]);
    expect([server.name, after]).toEqual([server.name, ""]);
  }
  const members = await k3s.members();
  expect(members.map(({ name }) => name.replace(/-[0-9a-f]{8}$/, "")).sort()).toEqual([...nodes].sort());
  expect(members.filter(({ isLearner }) => isLearner)).toEqual([]);
  await proveWritable(k3s);
}

/** Every server takes a write that all others show, and all have the same hash at one revision. */
export async function proveWritable(k3s: K3sCluster): Promise<void> {
  for (const writer of k3s.servers) {
    const key = `written-through/${writer.name}/${randomUUID()}`;
    await k3s.putKeys(writer, { [key]: "x" });
    for (const reader of k3s.servers) expect(await k3s.keys(reader, key)).toEqual([key]);
  }
  const hashes = Object.values(await waitFor("the hashes", () => k3s.hashKv(), { deadlineMs: 10_000 }));
  expect(hashes).toHaveLength(k3s.servers.length);
  expect(new Set(hashes).size).toBe(1);
}

/** What servers that upload their snapshots have in their configuration. It would have a reset look for its file there. */
export function uploading({ endpoint, region, caPem = "", accessKeyId, secretAccessKey }: S3): Record<string, unknown> {
  return {
    ...{ "etcd-s3": true, "etcd-s3-endpoint": endpoint, "etcd-s3-region": region, "etcd-s3-bucket": BUCKET },
    ...{ "etcd-s3-endpoint-ca": Buffer.from(caPem).toString("base64"), "etcd-s3-folder": "demo" },
    ...{ "etcd-s3-access-key": accessKeyId, "etcd-s3-secret-key": secretAccessKey },
  };
}

/** Saves a snapshot by the distribution's own command, with no help of ours, and returns the path of its file. */
export async function saveByItself(k3s: K3sCluster, server: Machine, name: string): Promise<string> {
  const { code, stdout, stderr } = await k3s.run(server, [
    "etcd-snapshot",
    "save",
    "--data-dir",
    k3s.dataDir,
    "--name",
    name,
  ]);
  if (code !== 0) throw new Error(`${server.name}: etcd-snapshot save: ${stderr}${stdout}`);
  const path = await server.exec(`ls ${k3s.dataDir}/server/db/snapshots/${name}-*`);
  return path.trim();
}

/** Everything that is the user's, by content, mode, owner and time: configuration, units, environment, programs. */
export function usersFiles(k3s: K3sCluster, server: Machine): Promise<string> {
  const { configDir } = k3sNames[k3s.distribution];
  // Theirs to write: K3s's own, at every start. Ours: the drop-in, as long as the backups are configured.
  const not = `! -path ${configDir}/${k3s.distribution}.yaml ! -path /etc/rancher/node/password ! -name 60-etcd-backup.yaml`;
  return server.exec(
    `find /etc/rancher /etc/systemd/system /etc/default /usr/local/bin -type f ${not} -printf '%p %m %U:%G %T@ ' -exec sha256sum {} ';' | sort`,
  );
}

/** Names of the snapshots that a server has. */
export async function localSnapshots(k3s: K3sCluster, server: Machine): Promise<readonly string[]> {
  const listed = await server.exec(`ls -A ${k3s.dataDir}/server/db/snapshots 2>/dev/null || :`);
  return listed.split("\n").filter((name) => name !== "");
}

/** What is left of a restore on a server, beside what is meant to stay: nothing. */
export async function leftovers(k3s: K3sCluster, server: Machine): Promise<readonly string[]> {
  const { configDir } = k3sNames[k3s.distribution];
  const found = await server.exec(`find ${configDir} /etc/systemd /run/systemd -name '*etcd-backup*'
find /var/lib/etcd-backup -mindepth 2
find ${k3s.dataDir}/server -maxdepth 1 -name '*.back' -o -maxdepth 1 -name '*before*'
find ${k3s.dataDir}/server/db -maxdepth 1 ! -name db ! -name etcd ! -name snapshots
systemctl list-units --all --plain --no-legend 'etcd-backup*'`);
  return (
    found
      .split("\n")
      .filter((path) => path !== "")
      .filter((path) => !/\/60-etcd-backup\.yaml$/.test(path))
      .filter((path) => !/^\/var\/lib\/etcd-backup\/[^/]+\/(journal|restored\.json|guard|lease\.lock)$/.test(path))
      // The old data, and whose it was, are there to stay.
      .filter((path) => !/\/server\/(db\/etcd\.)?before-[0-9TZ]+[-0-9a-f]*$/.test(path))
  );
}

async function uidsOf(k3s: K3sCluster, server: Machine, name: string): Promise<string> {
  const uid = "jsonpath={.metadata.uid}";
  const cluster = await k3s.kubectl(server, ["get", "namespace", "kube-system", "-o", uid]);
  const object = await k3s.kubectl(server, ["get", "configmap", `canary-${name}`, "-o", uid]);
  return `${cluster.trim()} ${object.trim()}`;
}

function firstOf({ servers }: K3sCluster): Machine {
  const [first] = servers;
  if (first === undefined) throw new Error("a cluster needs a server");
  return first;
}

/**
 * What must be the same when a restore was put back: which data it has, tokens and authorities by content, what runs.
 * Certificates are signed anew at every start.
 */
export function asItWas(k3s: K3sCluster, server: Machine): Promise<string> {
  const { unit } = k3sNames[k3s.distribution];
  return server.exec(`cd ${k3s.dataDir}/server
stat -c '%n %i %a' db/etcd; cat db/etcd/name; ls -A . db | grep -v '^snapshots$'
for f in token agent-token node-token; do [ ! -L $f ] || readlink $f; cat $f; stat -c '%n %a %F' $f; done 2>/dev/null
find tls cred -type f '(' -name '*-ca.*' -o -name 'service*' -o -path 'cred/*' ')' -exec sha256sum {} ';' | sort
systemctl show ${unit} -p ActiveState -p UnitFileState -p DropInPaths`);
}
