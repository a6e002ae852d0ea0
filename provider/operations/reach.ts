import { BackupError } from "../errors";
import type { Cluster, Server } from "../model";
import { type ConnectedHost, connect, mergeConnection } from "../transport/connect";
import { inParallel } from "../in-parallel";

/** Servers by name, connected. */
export type ReachedHosts = ReadonlyMap<string, ConnectedHost>;

/** Connects to one of the cluster's servers. */
export function reachServer(cluster: Cluster, server: Server): Promise<ConnectedHost> {
  return connect(server.name, mergeConnection(cluster.connection, server.connection));
}

/** Does `work` on every server in parallel. When some fail, the error says which, and which did not. */
export function onEveryServer<R>(cluster: Cluster, work: Work<R>): Promise<R[]> {
  return onEach(cluster, work, (failed, fine) => {
    const others = fine.length === 0 ? "on no other server either" : `done on ${fine.join(", ")}`;
    return `Not done on ${failed.join(", ")}; ${others}.`;
  });
}

/** Looks at every server in parallel, before anything is changed. When some cannot be looked at, the error says which. */
export function lookOnEveryServer<R>(cluster: Cluster, look: Work<R>): Promise<R[]> {
  return onEach(cluster, look, () => "Nothing was changed on any server.");
}

type Work<R> = (host: ConnectedHost, server: Server) => Promise<R>;

async function onEach<R>(
  cluster: Cluster,
  work: Work<R>,
  outcome: (failed: readonly string[], fine: readonly string[]) => string,
): Promise<R[]> {
  const results = await inParallel(cluster.servers, async (server) => work(await reachServer(cluster, server), server));
  const failures = results.flatMap((result, index) => {
    const name = cluster.servers[index]?.name ?? "";
    return result.status === "rejected" ? [{ name, reason: asError(result.reason) }] : [];
  });
  const [first] = failures;
  if (first === undefined) return results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
  if (cluster.servers.length === 1) throw first.reason;
  const failed = new Set(failures.map((failure) => failure.name));
  const fine = cluster.servers.map((server) => server.name).filter((name) => !failed.has(name));
  const what = failures
    .map(({ reason }) => (reason instanceof BackupError ? reason.message.split("\n")[0] : reason.message))
    .join("\n");
  throw new BackupError(first.reason instanceof BackupError ? first.reason.code : "COMMAND_FAILED", what ?? "", {
    hint: [
      outcome([...failed], fine),
      ...new Set(
        failures.flatMap(({ reason }) =>
          reason instanceof BackupError && reason.hint !== undefined ? [reason.hint] : [],
        ),
      ),
    ].join("\n"),
    cause: failures.length === 1 ? first.reason : new AggregateError(failures.map(({ reason }) => reason)),
  });
}

/** Connects to every server, or to none. */
export async function reachAll(cluster: Cluster): Promise<ReachedHosts> {
  const hosts = await lookOnEveryServer(cluster, (host) => Promise.resolve(host));
  return new Map(hosts.map((host) => [host.name, host]));
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}
