import { installFile } from "../../../transport/install-file";
import { type Command, script, sh } from "../../../transport/shell";
import { startFreed } from "../../held-unit";
import { setting } from "../settings/config-files";
import { formatConfig } from "../settings/config-text";
import type { EmbeddedFacts } from "../facts";
import type { RestorePlaces } from "./restore-places";

/** Where a server joins the first one. */
export function joinUrl({ address, supervisorPort }: EmbeddedFacts): string {
  return `https://${address.includes(":") ? `[${address}]` : address}:${supervisorPort}`;
}

/** What a server is told to join the first one, whatever its own files say about where, and whether to begin a cluster. */
export function joinSettings(
  facts: EmbeddedFacts,
  first: EmbeddedFacts,
  token: string | undefined,
): Readonly<Record<string, string>> {
  return { server: joinUrl(first), ...tokenFor(facts, token) };
}

/** Starts a server without data, so that it joins. What tells it lies in a file that goes when the restore is done. */
export function joinServer(
  facts: EmbeddedFacts,
  first: EmbeddedFacts,
  places: RestorePlaces,
  token: string | undefined,
): Command {
  const settings = joinSettings(facts, first, token);
  const dropIn = formatConfig("A restore is under way. Removed by the restore itself.", settings);
  return script(
    sh`mkdir -p ${`${facts.configFile}.d`} || exit 1`,
    installFile(places.dropIn, dropIn, 0o600),
    sh`[ $? -eq 0 ] || exit 1`,
    startFreed(facts.unit),
  );
}

/** A server that began the cluster may have its token in its data alone: to join, one has to be told. */
function tokenFor(facts: EmbeddedFacts, token: string | undefined): Record<string, string> {
  if (token !== undefined) return { token };
  const told = setting(facts.settings, "token") ?? setting(facts.settings, "token-file");
  return told !== undefined || facts.tokenHash === undefined ? {} : { "token-file": `${facts.dataDir}/server/token` };
}
