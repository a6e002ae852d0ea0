import { journalPath } from "../../plan/journal";
import type { Hosts } from "../../plan/plan";
import type { HostReader } from "../../transport/host";
import type { RestoreStagesRequest } from "../distribution";
import type { EtcdFacts } from "./facts";
import { parsePairs } from "../parts";
import { examineStopped } from "./restore-data";
import { type RestorePlaces, restorePlaces } from "./restore-places";
import { startMember, stopMember } from "./restore-services";

/** Whether anything may have been written to the restored members. Stops them to find out. */
export async function settle(
  servers: readonly EtcdFacts[],
  request: RestoreStagesRequest,
  hosts: Hosts,
): Promise<"forward" | "back"> {
  if (await request.members.hasQuorum()) return "forward";
  const verdicts = await Promise.all(
    servers.map(async (facts) => {
      const host = hosts.get(facts.server);
      if (host === undefined) return false;
      const places = restorePlaces(request.cluster.name, facts, request.attempt);
      await host.run(stopMember(facts, places), { timeoutMs: STOP_MS });
      return canGoBack(host, facts, places, await bootOfBegin(host, request.cluster.name, `${facts.server}:start`));
    }),
  );
  if (verdicts.every((verdict) => verdict)) return "back";
  // Only forward is left: what was stopped to look at it runs again.
  await Promise.all(
    servers.map(async (facts) =>
      hosts.get(facts.server)?.run(startMember(facts, restorePlaces(request.cluster.name, facts, request.attempt))),
    ),
  );
  return "forward";
}

/** systemd itself waits for 90 s before it kills. */
const STOP_MS = 180_000;

/** The boot in which a step began, from this server's own journal. */
export async function bootOfBegin(host: HostReader, cluster: string, step: string): Promise<string | undefined> {
  const journal = (await host.readFile(journalPath(cluster))) ?? "";
  const line = journal.split("\n").findLast((text) => text.startsWith("begin\t") && text.split("\t")[2] === step);
  return line?.split("\t")[3];
}

/**
 * True only when the stopped member certainly holds what was restored and nothing more: no file of it has changed, or it
 * ended by SIGTERM, in the boot it was started in, without a crash between, at the revision it was restored to. After a
 * kill its last writes may be in the WAL alone, where its revision does not show them.
 */
export async function canGoBack(
  host: HostReader,
  facts: EtcdFacts,
  places: RestorePlaces,
  startedIn: string | undefined,
): Promise<boolean> {
  if (startedIn === undefined) return true;
  const seen = parsePairs((await host.query(examineStopped(facts, places), { timeoutMs: 300_000 })).stdout);
  const one = (name: string): string => seen.get(name)?.[0] ?? "";
  if (one("files") === "same") return true;
  const revision = (json: string): string | undefined => /"revision":\s*(\d+)/.exec(json)?.[1];
  const prepared = revision(one("prepared"));
  const unchanged = prepared !== undefined && revision(one("now")) === prepared;
  return unchanged && one("boot") === startedIn && endedCleanly(one);
}

/** By SIGTERM, or by itself without an error; and systemd did not have to start it again. */
function endedCleanly(one: (name: string) => string): boolean {
  const [exited, killed] = ["1", "2"];
  const code = one("ExecMainCode");
  const status = one("ExecMainStatus");
  return one("NRestarts") === "0" && ((code === exited && status === "0") || (code === killed && status === "15"));
}
