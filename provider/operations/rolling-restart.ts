import { BackupError, hasCode } from "../errors";
import type { Restarts, ServerFacts } from "../distributions/distribution";
import { type MemberLook, type Members, membersOf } from "../distributions/members";
import { parsePairs } from "../distributions/parts";
import type { Cluster } from "../model";
import type { Lock } from "../plan/lock";
import type { ConnectedHost } from "../transport/connect";
import { type Command, redact, sh } from "../transport/shell";
import { waitFor } from "../transport/wait";
import type { Call } from "./call";

type AskedMembers = Pick<Members, "look" | "use">;

/** A server that has to be changed and restarted. */
export interface DueRestart {
  readonly facts: ServerFacts;
  /** What is changed right before its restart. */
  readonly change: Command;
}

export interface RollingRestart {
  readonly cluster: Cluster;
  readonly restarts: Restarts;
  /** Every server of the cluster. */
  readonly servers: readonly ServerFacts[];
  readonly hosts: ReadonlyMap<string, ConnectedHost>;
  readonly due: readonly DueRestart[];
  readonly lock: Lock;
  /** What may stand in a log and must not be shown. */
  readonly secrets: readonly string[];
  /** @default the cluster's own */
  readonly members?: AskedMembers;
  /** How long one server may take to come back. @default 5 minutes */
  readonly patienceMs?: number;
  /** How long the others may take to be healthy. @default 30 seconds */
  readonly settleMs?: number;
}

/**
 * Changes and restarts one server at a time, the leader last; each only while all other members are healthy. A server
 * that does not come back gets its previous files and is restarted with them; then nothing more is done.
 */
export async function restartInTurn(roll: RollingRestart, call: Call): Promise<void> {
  const { cluster, servers, hosts } = roll;
  const members = roll.members ?? membersOf(cluster, servers, hosts);
  const done: string[] = [];
  const due = await leaderLast(roll.due, members);
  for (const [index, { facts, change }] of due.entries()) {
    const untouched = due.slice(index).map((one) => one.facts.server);
    await refuseUnhealthy(roll, members, facts).catch((error: unknown) => {
      throw withOutcome(error, done, untouched);
    });
    const alone = servers.length === 1 ? ": the API is away for some seconds" : ` (${index + 1} of ${due.length})`;
    call.progress.status(`${facts.server}: restarting ${facts.unit}${alone}`);
    await restartOne(roll, members, facts, change).catch((error: unknown) => {
      throw withOutcome(error, done, untouched.slice(1));
    });
    done.push(facts.server);
  }
}

async function leaderLast(due: readonly DueRestart[], members: AskedMembers): Promise<readonly DueRestart[]> {
  const looks = due.length > 1 ? await members.look() : new Map<string, undefined>();
  const leads = ({ facts }: DueRestart): boolean => {
    const look = looks.get(facts.server);
    return look !== undefined && look.memberId === look.leaderId;
  };
  return [...due.filter((one) => !leads(one)), ...due.filter(leads)];
}

const SETTLE_MS = 30_000;

/** The others have to carry the cluster while this server is away. */
async function refuseUnhealthy(roll: RollingRestart, members: AskedMembers, facts: ServerFacts): Promise<void> {
  const others = roll.servers.filter(({ server }) => server !== facts.server);
  if (others.length === 0) return;
  try {
    await waitFor(
      `${facts.server} can be restarted: all other members are healthy`,
      async () => {
        const looks = await members.look();
        const sick = others.flatMap(({ server }) => sickness(server, looks.get(server)));
        if (sick.length > 0) return sick.join("; ");
        const voters = await countVoters(members, others);
        // Two members never have a quorum without one of them: there the API is away for a while, as on one server.
        return (
          voters <= 2 ||
          others.length * 2 > voters ||
          `etcd lists ${voters} voters, and only ${others.length} others are known here`
        );
      },
      roll.settleMs ?? SETTLE_MS,
    );
  } catch (error) {
    if (!hasCode(error, "CLUSTER_UNHEALTHY")) throw error;
    throw new BackupError("CLUSTER_UNHEALTHY", error.message, {
      hint: 'A restart now could stop the cluster. Bring the other members back first, or say `restart: "none"`.',
      cause: error,
    });
  }
}

function sickness(server: string, look: MemberLook | undefined): string[] {
  if (look === undefined) return [`the member of ${server} does not answer`];
  if (look.isLearner) return [`the member of ${server} is a learner still`];
  return look.leaderId === "0" ? [`the member of ${server} knows no leader`] : [];
}

async function countVoters(members: AskedMembers, [first]: readonly ServerFacts[]): Promise<number> {
  if (first === undefined) return 1;
  const listed = await members.use(first, (member) => member.members());
  return listed.filter(({ isLearner }) => !isLearner).length;
}

const PATIENCE_MS = 5 * 60_000;

async function restartOne(
  roll: RollingRestart,
  members: AskedMembers,
  facts: ServerFacts,
  change: Command,
): Promise<void> {
  const host = roll.hosts.get(facts.server);
  if (host === undefined) throw new Error(`no connection to ${facts.server}`);
  const guarded = roll.lock.guard(host);
  const { restarts, patienceMs = PATIENCE_MS } = roll;
  const restart = async (): Promise<void> => {
    const before = readUnit((await host.query(lookAtUnit(facts.unit))).stdout);
    await guarded.run(restarts.begin(facts));
    await waitForReturn(host, members, facts, before.startedAt, patienceMs);
  };
  await guarded.run(change);
  try {
    await restart();
  } catch (error) {
    // Whoever has the lock now decides what happens here.
    if (hasCode(error, "LOCK_LOST")) throw error;
    const log = redact(await lastWords(host, facts.unit), roll.secrets);
    const putBack = async (): Promise<void> => {
      await guarded.run(restarts.putBack(facts));
      await restart();
    };
    const back = await putBack().then(
      () => "Its previous files were put back, and it runs with them again.",
      (second: unknown) =>
        `Its previous files could not be brought into force again: ${firstLine(second)}. Look there: \`systemctl status ${facts.unit}\`.`,
    );
    const what = `${facts.unit} did not come back with its new files: ${firstLine(error)}`;
    throw new BackupError("CLUSTER_UNHEALTHY", [what, log].join("\n").trimEnd(), {
      ...{ host: facts.server, hint: back, cause: error },
    });
  }
}

interface UnitLook {
  readonly state: string;
  /** Changes with every start. */
  readonly startedAt: string;
  /** How often systemd has started it again by itself. */
  readonly restarts: number;
}

function lookAtUnit(unit: string): Command {
  return sh`systemctl show ${unit} -p ActiveState -p SubState -p ExecMainStartTimestampMonotonic -p NRestarts`;
}

function readUnit(shown: string): UnitLook {
  const pairs = parsePairs(shown);
  const value = (name: string): string => pairs.get(name)?.[0] ?? "";
  return {
    state: `${value("ActiveState")} (${value("SubState")})`,
    startedAt: value("ExecMainStartTimestampMonotonic"),
    restarts: Number(value("NRestarts") || 0),
  };
}

const TRIES = 5;

async function waitForReturn(
  host: ConnectedHost,
  members: AskedMembers,
  facts: ServerFacts,
  startedBefore: string,
  deadlineMs: number,
): Promise<void> {
  await waitFor(
    `${facts.unit} runs again, its member a voter`,
    async () => {
      const { state, startedAt, restarts } = readUnit((await host.query(lookAtUnit(facts.unit))).stdout);
      if (restarts >= TRIES) {
        throw new BackupError("CLUSTER_UNHEALTHY", `it ended ${restarts} times when it was started`);
      }
      if (startedAt === startedBefore || !state.startsWith("active ")) return `the unit is ${state}`;
      return members
        .use(facts, async (member) => {
          const { isLearner, leaderId } = await member.status();
          if (leaderId === "0") return "its member knows no leader";
          return isLearner ? "its member is a learner still" : true;
        })
        .catch(firstLine);
    },
    deadlineMs,
  );
}

/** The end of the unit's log. */
async function lastWords(host: ConnectedHost, unit: string): Promise<string> {
  const command = sh`journalctl -u ${unit} -n 40 -o cat --no-pager 2>/dev/null | grep -v '^{"level":"\(info\|debug\)"' | tail -n 8 | cut -c 1-400`;
  const { stdout } = await host.query(command).catch(() => ({ stdout: "" }));
  return stdout.trimEnd().replaceAll(/^(?=.)/gm, "  | ");
}

function withOutcome(error: unknown, done: readonly string[], untouched: readonly string[]): unknown {
  if (!(error instanceof BackupError)) return error;
  const list = (names: readonly string[]): string => (names.length === 0 ? "no server" : names.join(", "));
  return new BackupError(error.code, error.message, {
    hint: `Changed and restarted: ${list(done)}. Not touched: ${list(untouched)}. When this is mended, run \`pulumi up\` again.`,
    cause: error,
  });
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n", 1)[0] ?? "";
}
