import { journalPath } from "../../plan/journal";
import type { HostReader } from "../../transport/host";
import type { EtcdFacts } from "./facts";
import { parsePairs } from "./parts";
import { examineStopped, type RestorePlaces } from "./restore-scripts";

/** The boot in which a step began, from this server's own journal. */
export async function bootOfBegin(host: HostReader, cluster: string, step: string): Promise<string | undefined> {
  const journal = (await host.readFile(journalPath(cluster))) ?? "";
  const line = journal.split("\n").findLast((text) => text.startsWith("begin\t") && text.split("\t")[2] === step);
  return line?.split("\t")[3];
}

/**
 * True only when the stopped member certainly holds what was restored and nothing more: it ended by SIGTERM (or never
 * ran), in the boot it was started in, without a crash between, at the revision it was restored to. After a kill its
 * last writes may be in the WAL alone, where its file does not show them.
 */
export async function canGoBack(
  host: HostReader,
  facts: EtcdFacts,
  places: RestorePlaces,
  startedIn: string | undefined,
): Promise<boolean> {
  const seen = parsePairs((await host.query(examineStopped(facts, places), { timeoutMs: 300_000 })).stdout);
  const one = (name: string): string => seen.get(name)?.[0] ?? "";
  if (startedIn === undefined) return true;
  const [exited, killed] = ["1", "2"];
  const code = one("ExecMainCode");
  const status = one("ExecMainStatus");
  // 0: never ran; 203: systemd could not execute it.
  const clean =
    code === "0" || (code === exited && (status === "0" || status === "203")) || (code === killed && status === "15");
  const revision = (json: string): string | undefined => /"revision":\s*(\d+)/.exec(json)?.[1];
  const prepared = revision(one("prepared"));
  return (
    clean &&
    one("NRestarts") === "0" &&
    one("boot") === startedIn &&
    prepared !== undefined &&
    revision(one("now")) === prepared
  );
}
