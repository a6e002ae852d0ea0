/** A POSIX `sh` script with its words quoted. `secrets` never appear in messages or logs. */
export interface Command {
  readonly text: string;
  readonly secrets: readonly string[];
  /** What messages say of it. @default its first line that does something */
  readonly title?: string;
}

interface Secret {
  readonly secret: string;
}

type Word = string | number | Secret | Command | readonly (string | number)[];

/** Marks a word that must not be shown. It still becomes a word of the script, so only shell builtins may take it. */
export function secret(value: string): Secret {
  return { secret: value };
}

/**
 * Builds a script: each `${}` is one quoted word, an array several, another command is inserted as it is.
 * Backslashes reach the shell as they are written; only a backslash before `${` or a backtick is JavaScript's.
 */
export function sh(parts: TemplateStringsArray, ...words: readonly Word[]): Command {
  const secrets: string[] = [];
  const written = parts.raw.map((part) => part.replaceAll("\\${", "${").replaceAll("\\`", "`"));
  let text = written[0] ?? "";
  words.forEach((word, index) => {
    if (typeof word === "object" && "secret" in word) secrets.push(word.secret);
    if (isCommand(word)) secrets.push(...word.secrets);
    text += spell(word) + (written[index + 1] ?? "");
  });
  return { text, secrets };
}

/** Joins scripts, one after the other. */
export function script(...commands: readonly Command[]): Command {
  return { text: commands.map((c) => c.text).join("\n"), secrets: commands.flatMap((c) => c.secrets) };
}

/** The same script, called by this name in messages. */
export function titled(title: string, command: Command): Command {
  return { ...command, title };
}

/** A script that is constant text: no words to quote. */
export function rawScript(text: string): Command {
  return { text, secrets: [] };
}

/** Quotes one word for `sh`. */
export function quote(word: string): string {
  if (word.includes("\0")) throw new TypeError("a shell word cannot hold a NUL byte");
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** Replaces every secret in a text, longest first so that one inside another leaves nothing behind. */
export function redact(text: string, secrets: readonly string[]): string {
  const known = secrets.flatMap((s) => [s, quote(s)]).filter((s) => s.length > 0);
  return known.sort((a, b) => b.length - a.length).reduce((shown, s) => shown.replaceAll(s, "[secret]"), text);
}

function isCommand(word: Word): word is Command {
  return typeof word === "object" && "text" in word;
}

function spell(word: Word): string {
  if (typeof word === "string") return quote(word);
  if (typeof word === "number") return String(word);
  if (isCommand(word)) return word.text;
  if ("secret" in word) return quote(word.secret);
  return word.map((w) => quote(String(w))).join(" ");
}
