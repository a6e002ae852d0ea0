import type { Finding } from "../../distribution";
import { effectiveSettings } from "../settings/config-files";
import type { EmbeddedFacts } from "../facts";
import { joinSettings, joinUrl } from "./join";
import { formatConfig } from "../settings/config-text";
import { restoreDropIn } from "./restore-places";

/**
 * Servers that would not join the first one, whatever our drop-in tells them: arguments of a unit count more. That would
 * show only when the restored cluster serves already, and they would stay away.
 */
export function joinFindings(servers: readonly EmbeddedFacts[], first: EmbeddedFacts | undefined): Finding[] {
  if (first === undefined) return [];
  return servers
    .filter((facts) => facts !== first)
    .flatMap((facts): Finding[] => {
      const dropIn = {
        path: restoreDropIn(facts.configFile),
        text: formatConfig("", joinSettings(facts, first, undefined)),
      };
      const { prefix } = facts.program;
      const files = [...facts.configFiles, dropIn];
      const told = effectiveSettings({ prefix, args: facts.args, files, environment: [] }).values.get("server");
      if (told === undefined || told.value === joinUrl(first)) return [];
      const text = `${facts.server}: ${told.source} has --server ${told.value}, but it has to join ${first.server} (${joinUrl(first)}); change it or take it out. Where that is a name of ${first.server}, or of what leads there, it is right as it is`;
      return [{ code: "UNSUPPORTED_SETUP", text, mayAccept: true }];
    });
}
