import { randomUUID } from "node:crypto";
import type { Call } from "../../provider/operations/call";
import type { EtcdCluster } from "../lab/etcd";
import type { Machine } from "../lab/machine";
import { waitFor } from "../lab/wait";

export interface ListedMember {
  readonly ID: number;
  readonly name: string;
  readonly peerURLs: readonly string[];
  readonly isLearner?: boolean;
}

/** What etcdctl has to say of a restored cluster, asked on every member. */
export async function proveRestored(
  etcd: EtcdCluster,
  { canary, gone }: { readonly canary: string; readonly gone: string },
): Promise<void> {
  await etcd.healthy();
  for (const member of etcd.members) {
    expect([member.name, await etcd.keys(member, canary)]).toEqual([member.name, [canary]]);
    expect([member.name, await etcd.keys(member, gone)]).toEqual([member.name, []]);
  }
  const listed = await listMembers(etcd);
  expect(listed.map(({ name }) => name).sort()).toEqual(etcd.members.map(({ name }) => name).sort());
  expect(listed.filter(({ isLearner }) => isLearner === true)).toEqual([]);
  for (const writer of etcd.members) {
    const key = `written-through/${writer.name}/${randomUUID()}`;
    await etcd.putKeys(writer, { [key]: "x" });
    for (const reader of etcd.members) expect(await etcd.keys(reader, key)).toEqual([key]);
  }
  // With a password etcdctl asks all with the token of one, which the others may not have heard of yet.
  const hashes = Object.values(await waitFor("the hashes", () => etcd.hashKv(), { deadlineMs: 10_000 }));
  expect(hashes).toHaveLength(etcd.members.length);
  expect(new Set(hashes).size).toBe(1);
}

export async function listMembers(etcd: EtcdCluster): Promise<readonly ListedMember[]> {
  const answer = await etcd.etcdctl(firstOf(etcd.members), ["member", "list", "--write-out=json"]);
  return (JSON.parse(answer) as { readonly members: readonly ListedMember[] }).members;
}

export async function clusterId(etcd: EtcdCluster): Promise<string> {
  const answer = await etcd.etcdctl(firstOf(etcd.members), ["member", "list", "--write-out=json"]);
  return /"cluster_id":\s*(\d+)/.exec(answer)?.[1] ?? "";
}

/** Lets etcdctl save a snapshot on a machine, with no help of ours. */
export async function saveByEtcdctl(etcd: EtcdCluster, member: Machine, path: string): Promise<void> {
  await member.exec(`mkdir -p "$(dirname '${path}')"`);
  await etcd.etcdctl(member, ["snapshot", "save", `${member.root}${path}`]);
}

/** Runs the scheduled backup now, and returns the name of the file it saved. */
export async function backUpNow(machine: Machine, cluster: string): Promise<string> {
  const text = await machine.exec(
    `systemctl start etcd-backup-${cluster}.service && cat /var/lib/etcd-backup/${cluster}/status.json`,
  );
  const status = JSON.parse(text) as { readonly ok: boolean; readonly fileName: string };
  expect(status.ok).toBe(true);
  return status.fileName;
}

/**
 * All that a change would change: our files and other people's by content, mode and time; etcd's process, its data
 * directory and its units. The lock's own files are left out where an operation is one that may take it.
 */
export async function traces(machine: Machine, { lock = true }: { readonly lock?: boolean } = {}): Promise<string> {
  const left = lock ? "" : `! -name guard ! -name lease.lock ! -path /var/lib/etcd-backup/*/journal`;
  const paths = "/etc /root /tmp /srv /usr/local /var/lib/etcd-backup";
  return machine.exec(`find ${paths} ! -type d ${left} -printf '%p %i %m %U:%G %s %T@\\n' 2>/dev/null | sort
find ${paths} -type d -printf '%p %m %U:%G\\n' 2>/dev/null | sort
stat -c '%n %i %a %U:%G %Y' /var/lib/etcd /var/lib/etcd/member /var/lib/etcd/member/snap /var/lib/etcd/member/wal 2>&1
ls -A /var/lib/etcd 2>&1
systemctl show etcd.service -p MainPID -p ExecMainStartTimestampMonotonic -p NRestarts -p ActiveState -p DropInPaths
systemctl show 'etcd-backup-*.timer' -p Id -p ActiveState -p ActiveEnterTimestampMonotonic`);
}

/** Programs that only look, or only run others, which a record shows on their own. Whatever else was executed is a change. */
const readers = new Set(
  `10-uname awk bash cat cut dash date dd df dirname env expr grep head id ls mawk mountpoint od readlink run-parts sed
sh sha256sum sort sshd stat sudo tail test timeout tr true uname wc`.split(/\s/),
);

/** The commands in a machine's record that may have changed something. */
export function changingCommands(record: string): readonly string[] {
  return record
    .split("\n")
    .filter((line) => line.includes("execve(") && / = 0$/.test(line.trim()))
    .map((line) => /execve\("([^"]+)", \[(.*?)\], /.exec(line))
    .flatMap((match) => {
      const [, program = "", words = ""] = match ?? [];
      const name = program.slice(program.lastIndexOf("/") + 1);
      const looks =
        readers.has(name) ||
        (name === "systemctl" && /^"systemctl", "(show|list-unit-files|is-active|cat)"/.test(words)) ||
        (name === "systemd-analyze" && /^"systemd-analyze", "calendar"/.test(words)) ||
        (name === "etcd" && words.endsWith('"--version"')) ||
        (/^etcd(ctl|utl)$/.test(name) && /"(--help|version)"/.test(words)) ||
        (name === "openssl" && /^"openssl", "dgst", "-sha256", "-r"$/.test(words)) ||
        (name === "busctl" && /"(LoadUnit|get-property)"/.test(words)) ||
        (name === "curl" && words.endsWith('/metrics"') && !/"-(o|T|X|d)/.test(words)) ||
        (/^(k3s|rke2)$/.test(name) && words.endsWith('"--version"')) ||
        (/^(k3s|kubectl)$/.test(name) && /^"[^"]*"(, "kubectl")?(, "--kubeconfig", "[^"]*")?, "get"/.test(words)) ||
        (name === "ip" && /"route", "get"/.test(words)) ||
        (name === "hostname" && /^"hostname"(, "-I")?$/.test(words));
      return looks ? [] : [`${program} [${words}]`];
    });
}

/** A call that keeps what it was told, for tests to read. */
export function listeningCall(): Call & { readonly infos: string[]; readonly warnings: string[] } {
  const infos: string[] = [];
  const warnings: string[] = [];
  return {
    infos,
    warnings,
    progress: {
      status: () => undefined,
      info: (text) => infos.push(text),
      warn: (text) => warnings.push(text),
    },
  };
}

function firstOf(members: readonly Machine[]): Machine {
  const [first] = members;
  if (first === undefined) throw new Error("a cluster needs a member");
  return first;
}
