import { BackupError } from "../errors";
import type { Cluster } from "../model";
import type { ConnectedHost } from "../transport/connect";
import { type EtcdMember, openEtcd } from "../transport/etcd";
import { receiveFile } from "../transport/receive-file";
import { sh } from "../transport/shell";
import { waitFor } from "../transport/wait";
import type { ServerFacts } from "./distribution";
import { parseParts } from "./parts";

/** The members of a cluster, asked through the servers' own connections. */
export interface Members {
  /** Opens one member, uses it and closes it. */
  use<T>(facts: ServerFacts, work: (member: EtcdMember) => Promise<T>): Promise<T>;
  /** Streams a snapshot of a member into a file of its own server: for servers without etcdctl. */
  saveSnapshot(facts: ServerFacts, path: string): Promise<void>;
  /** What each member says of itself; undefined for one that does not answer. */
  look(): Promise<ReadonlyMap<string, MemberLook | undefined>>;
  /** True when a linearizable read is answered: then the cluster takes writes. */
  hasQuorum(): Promise<boolean>;
  waitForQuorum(deadlineMs: number): Promise<void>;
  /** Every one of these servers' members answers. */
  waitForAnswers(servers: readonly string[], deadlineMs: number): Promise<void>;
  /** This server's member is a voter that knows a leader. */
  waitForVoter(facts: ServerFacts, deadlineMs: number): Promise<void>;
  /** Every member a voter of one cluster, with the same hash at the same revision. */
  waitForEqualMembers(servers: readonly ServerFacts[], deadlineMs: number): Promise<EqualMembers>;
}

/** A quorum answers in milliseconds; longer than this, and nobody would call it one. */
const QUORUM_MS = 4000;

export type MemberLook = Awaited<ReturnType<EtcdMember["status"]>>;

export interface EqualMembers {
  readonly revision: number;
  /** Raised alarms, `NOSPACE` or `CORRUPT`: they come back with the data, and etcd refuses writes until they are disarmed. */
  readonly alarms: readonly string[];
  readonly members: readonly { readonly name: string; readonly id: string; readonly peerUrls: readonly string[] }[];
}

export function membersOf(
  cluster: Cluster,
  servers: readonly ServerFacts[],
  hosts: ReadonlyMap<string, ConnectedHost>,
): Members {
  const hostOf = (facts: ServerFacts): ConnectedHost => {
    const host = hosts.get(facts.server);
    if (host === undefined) throw new Error(`no connection to ${facts.server}`);
    return host;
  };
  const use: Members["use"] = async (facts, work) => {
    const host = hostOf(facts);
    const member = await openEtcd(host, {
      endpoint: facts.member.endpoint,
      ...(await readCertificates(host, facts, cluster)),
      ...(cluster.username === undefined ? {} : { username: cluster.username, password: cluster.password ?? "" }),
    });
    try {
      return await work(member);
    } finally {
      await member.close();
    }
  };
  const answers = async <T>(work: (member: EtcdMember) => Promise<T>): Promise<Map<string, T | undefined>> =>
    new Map(
      await Promise.all(
        servers.map(async (facts) => [facts.server, await use(facts, work).catch(() => undefined)] as const),
      ),
    );
  const hasQuorum = async (): Promise<boolean> =>
    [...(await answers((member) => member.linearizableRead(QUORUM_MS).then(() => true))).values()].includes(true);
  /** What a wait for the cluster ends with: the error, and what each etcd said last. */
  const withLogs = async (wait: Promise<void>): Promise<void> => {
    await wait.catch(async (error: unknown) => {
      const logs = await Promise.all(servers.map((facts) => lastLog(facts, hosts).catch(() => "")));
      throw error instanceof BackupError
        ? new BackupError(error.code, [error.message, ...logs.filter((log) => log !== "")].join("\n"), { cause: error })
        : error;
    });
  };
  return {
    use,
    saveSnapshot: (facts, path) =>
      use(facts, (member) => receiveFile(hostOf(facts), path, (sink) => member.saveSnapshot(sink))),
    look: () => answers((member) => member.status()),
    hasQuorum,
    waitForQuorum: (deadlineMs) =>
      withLogs(
        waitFor(
          `${cluster.name}: etcd answers a linearizable read`,
          async () => ((await hasQuorum()) ? true : "no member answers one"),
          deadlineMs,
        ),
      ),
    waitForAnswers: (names, deadlineMs) =>
      withLogs(
        waitFor(
          `${cluster.name}: etcd answers on ${names.join(", ")}`,
          async () => {
            const looks = await answers((member) => member.status());
            const silent = names.filter((name) => looks.get(name) === undefined);
            return silent.length === 0 ? true : `no answer on ${silent.join(", ")}`;
          },
          deadlineMs,
        ),
      ),
    waitForVoter: (facts, deadlineMs) =>
      withLogs(
        waitFor(
          `${facts.server}: its member is a voter`,
          () =>
            use(facts, async (member) => {
              const { isLearner, leaderId } = await member.status();
              if (leaderId === "0") return "it knows no leader";
              return isLearner ? "it is a learner still" : true;
            }).catch((error: unknown) =>
              error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error),
            ),
          deadlineMs,
        ),
      ),
    async waitForEqualMembers(expected, deadlineMs) {
      let found: EqualMembers | undefined;
      const look = async (): Promise<true | string> => {
        const result = await compareMembers(expected, use);
        if (typeof result === "string") return result;
        found = result;
        return true;
      };
      await withLogs(waitFor(`${cluster.name}: all members are healthy and equal`, look, deadlineMs));
      if (found === undefined) throw new Error("the members were equal, but not described");
      return found;
    },
  };
}

/** What systemd keeps of one etcd's last words. */
async function lastLog(facts: ServerFacts, hosts: ReadonlyMap<string, ConnectedHost>): Promise<string> {
  const answer = await hosts
    .get(facts.server)
    ?.query(sh`journalctl -u ${facts.unit} -n 5 -o cat --no-pager 2>/dev/null | cut -c 1-300`);
  return (answer?.stdout ?? "").trimEnd().replaceAll(/^/gm, `  ${facts.server} | `);
}

/** The members when they are all voters and equal; else what is in the way. */
async function compareMembers(expected: readonly ServerFacts[], use: Members["use"]): Promise<EqualMembers | string> {
  const looks = await Promise.all(
    expected.map((facts) =>
      use(facts, async (member) => ({ facts, status: await member.status(), members: await member.members() })).catch(
        (error: unknown) => `${facts.server}: ${error instanceof Error ? error.message : String(error)}`,
      ),
    ),
  );
  const silent = looks.filter((look) => typeof look === "string");
  if (silent.length > 0) return silent.join("; ");
  const members = looks.filter((look) => typeof look !== "string");
  // By their own word, because some distributions give a member a new name when it joins.
  const ids = new Set(members.map((look) => look.status.memberId));
  for (const look of members) {
    const voters = look.members.filter((member) => !member.isLearner);
    if (voters.length !== expected.length || !voters.every((member) => ids.has(member.id))) {
      const servers = expected.map((facts) => facts.server).join(", ");
      return `${look.facts.server} lists the voters ${voters.map((member) => member.name).join(", ")}, not those of ${servers}`;
    }
  }
  const revision = Math.min(...members.map((look) => Number(look.status.revision)));
  const hashes = await Promise.all(
    members.map(async ({ facts }) =>
      use(facts, async (member) => `${(await member.hashKv(revision)).hash}`).catch(() => "no answer"),
    ),
  );
  if (new Set(hashes).size !== 1 || hashes[0] === "no answer") {
    return `hashes at revision ${revision}: ${members.map((look, i) => `${look.facts.server} ${hashes[i] ?? ""}`).join(", ")}`;
  }
  const [first] = members;
  const alarms = new Set(
    members.flatMap((look) => look.status.errors.flatMap((error) => /alarm:\s*(\w+)/.exec(error)?.[1] ?? [])),
  );
  return {
    revision,
    alarms: [...alarms],
    members: (first?.members ?? []).map(({ name, id, peerUrls }) => ({ name, id, peerUrls })),
  };
}

async function readCertificates(
  host: ConnectedHost,
  facts: ServerFacts,
  { distribution }: Cluster,
): Promise<{ ca?: string; cert?: string; key?: string }> {
  const { cacert, cert, key } = facts.member;
  if (cacert === undefined) return {};
  const mark = "=certificate";
  const { stdout } = await host
    .query(
      sh`show() { printf '\n%s %s\n' ${mark} "$1"; [ -z "$2" ] || cat "$2" || exit 1; }
show ca ${cacert}; show cert ${cert ?? ""}; show key ${key ?? ""}`,
    )
    .catch((cause: unknown) => {
      const looked = `Looked for ${[cacert, cert, key].filter((path) => path !== undefined).join(", ")}.`;
      const given = distribution === "etcd" ? " Give `cacert`, `cert` and `key` in etcd({ … })." : "";
      throw new BackupError("SETTING_NOT_FOUND", "a certificate for etcd's client port could not be read", {
        host: host.name,
        hint: `${looked}${given}`,
        cause,
      });
    });
  const parts = parseParts(stdout, mark);
  const pem = (name: string): string | undefined => parts.get(name) || undefined;
  const [ca, certificate, privateKey] = [pem("ca"), pem("cert"), pem("key")];
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(certificate === undefined ? {} : { cert: certificate }),
    ...(privateKey === undefined ? {} : { key: privateKey }),
  };
}
