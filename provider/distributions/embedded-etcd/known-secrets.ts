import type { EmbeddedFacts } from "./facts";
import { secretFlags } from "./settings/flags";

/** What a server's settings, and we, know to be secret: not to be shown, whatever log it stands in. */
export function knownSecrets({ settings }: Pick<EmbeddedFacts, "settings">, token?: string): readonly string[] {
  const configured = [...settings.values].flatMap(([flag, { value }]) => (secretFlags.has(flag) ? [value] : []));
  const tokens = [token, settings.values.get("token")?.value].flatMap((one) =>
    one === undefined ? [] : [password(one)],
  );
  return [...configured, ...(token === undefined ? [] : [token]), ...tokens].filter((one) => one !== "");
}

/** Of `K10<hash>::server:<password>` the part that opens doors. */
function password(token: string): string {
  return /^K10[0-9a-f]*::[^:]*:(.*)$/s.exec(token.trim())?.[1] ?? token;
}
