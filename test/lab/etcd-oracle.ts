import type { Machine } from "./machine";
import { waitFor } from "./wait";

/** What a test asks etcd itself, past all of our code. */
export interface EtcdOracle {
  /** Runs this machine's own etcdctl in that member's network, so that a member needs none. Rejects unless it exits 0. */
  etcdctl(member: Machine, words: readonly string[], options?: { readonly stdin?: string }): Promise<string>;
  putKeys(member: Machine, pairs: Readonly<Record<string, string>>): Promise<void>;
  /** The keys with that prefix, sorted. */
  keys(member: Machine, prefix: string): Promise<readonly string[]>;
  /** The hash of every member, asked of each at one revision, by name of the member. */
  hashKv(revision?: number): Promise<Readonly<Record<string, number>>>;
  /** Resolves when all members are healthy. */
  healthy(options?: { readonly deadlineMs?: number }): Promise<void>;
}

interface OracleOptions {
  /** Asked each time, because members come and go. */
  readonly members: () => readonly Machine[];
  readonly endpointOf: (member: Machine) => string;
  readonly etcdctl: EtcdOracle["etcdctl"];
}

export function openOracle({ members, endpointOf, etcdctl }: OracleOptions): EtcdOracle {
  const askAll = async <T>(words: readonly string[]): Promise<readonly T[]> => {
    const from = members().find(({ isRunning }) => isRunning);
    if (from === undefined) throw new Error("no member is running");
    const endpoints = members().map(endpointOf).join(",");
    return JSON.parse(await etcdctl(from, [...words, `--endpoints=${endpoints}`, "--write-out=json"])) as readonly T[];
  };
  return {
    etcdctl,
    putKeys: async (member, pairs) => {
      // A transaction takes at most 128 operations.
      for (const some of chunks(Object.entries(pairs), 100)) {
        const puts = some.map(([key, value]) => `put ${JSON.stringify(key)} ${JSON.stringify(value)}\n`).join("");
        await etcdctl(member, ["txn"], { stdin: `\n${puts}\n\n` });
      }
    },
    keys: async (member, prefix) => {
      const listed = await etcdctl(member, ["get", prefix, "--prefix", "--keys-only"]);
      return listed
        .split("\n")
        .filter((line) => line !== "")
        .sort();
    },
    hashKv: async (revision) => {
      const statuses = await askAll<{ readonly Status: { readonly header: { readonly revision: number } } }>([
        "endpoint",
        "status",
      ]);
      const common = revision ?? Math.min(...statuses.map(({ Status }) => Status.header.revision));
      type Answer = { readonly Endpoint: string; readonly HashKV: { readonly hash: number } };
      const hashes = await askAll<Answer>(["endpoint", "hashkv", `--rev=${common}`]);
      return Object.fromEntries(
        members().map((member) => [
          member.name,
          hashes.find(({ Endpoint }) => Endpoint === endpointOf(member))?.HashKV.hash ?? NaN,
        ]),
      );
    },
    healthy: async ({ deadlineMs = 60_000 } = {}) => {
      const ask = async (): Promise<true> => {
        await askAll(["endpoint", "health"]);
        return true;
      };
      await waitFor("etcd is healthy on all members", ask, { deadlineMs, everyMs: 200 });
    },
  };
}

function chunks<T>(all: readonly T[], size: number): readonly (readonly T[])[] {
  return all.length <= size ? [all] : [all.slice(0, size), ...chunks(all.slice(size), size)];
}
