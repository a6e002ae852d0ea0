import { installFile } from "../../transport/install-file";
import { type Command, script, sh } from "../../transport/shell";
import { startFreed } from "../held-unit";
import { setting } from "./config-files";
import { formatConfig } from "./config-text";
import type { EmbeddedFacts } from "./facts";
import type { RestorePlaces } from "./restore-places";

/**
 * Starts a server without data, so that it joins the first one: whatever its own configuration says about where, and
 * whether to begin a cluster of its own. What tells it lies in a file that goes when the restore is done.
 */
export function joinServer(
  facts: EmbeddedFacts,
  first: EmbeddedFacts,
  places: RestorePlaces,
  token: string | undefined,
): Command {
  const host = first.address.includes(":") ? `[${first.address}]` : first.address;
  const dropIn = formatConfig("A restore is under way. Removed by the restore itself.", {
    server: `https://${host}:${first.supervisorPort}`,
    ...tokenFor(facts, token),
  });
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
