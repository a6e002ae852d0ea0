import type { EmbeddedFacts } from "./facts";
import { secretFlags } from "./settings/flags";
import { tokenPassword } from "./token";

/** What a server's settings, and we, know to be secret: not to be shown, whatever log it stands in. */
export function knownSecrets({ settings }: Pick<EmbeddedFacts, "settings">, token?: string): readonly string[] {
  const configured = [...settings.values].flatMap(([flag, { value }]) => (secretFlags.has(flag) ? [value] : []));
  const tokens = [token, settings.values.get("token")?.value].flatMap((one) =>
    one === undefined ? [] : [tokenPassword(one)],
  );
  return [...configured, ...(token === undefined ? [] : [token]), ...tokens].filter((one) => one !== "");
}
