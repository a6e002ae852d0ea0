import type { BackupFacts, EtcdFacts, MemberFacts } from "../../provider/distributions/etcd/facts";

export interface GivenFacts extends Partial<Omit<EtcdFacts, "member" | "backups">> {
  readonly member?: Partial<MemberFacts>;
  readonly backups?: Partial<BackupFacts>;
}

/** A server with a healthy member and no backups, except for what is given. */
export function etcdFacts({ member, backups, ...own }: GivenFacts = {}): EtcdFacts {
  const server = own.server ?? "s1";
  return {
    ...{ server, unit: "etcd.service", unitActive: true, running: true, startedAt: "Thu 2026-01-01 00:00:00 UTC" },
    ...{ user: "etcd", group: "etcd", etcdVersion: "3.6.16", etcdctl: "/usr/bin/etcdctl" },
    ...{ restoreTool: "/usr/bin/etcdutl", restoreToolVersion: "3.6.16", canBumpRevision: true },
    tools: new Set(["curl", "flock", "sha256sum", "systemd-analyze"]),
    settings: new Map(),
    ...{ clock: 1_767_225_600, boot: "boot-1", journal: "", marker: "", lease: "" },
    ...own,
    member: {
      ...{ name: server, dataDir: "/var/lib/etcd", walDir: undefined, peerUrls: [`https://${server}:2380`] },
      ...{ endpoint: "https://127.0.0.1:2379", cacert: "/pki/ca.crt", cert: "/pki/server.crt", key: "/pki/server.key" },
      ...member,
    },
    backups: {
      ...{ files: [], settings: "", timerActive: false, timerEnabled: false, calendar: [], declaredCalendar: [] },
      ...{ commands: [], dropIns: [], needsReload: false, status: "", lastRunResult: undefined },
      ...backups,
    },
  };
}
