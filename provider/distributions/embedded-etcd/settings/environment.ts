/** A variable that a unit is started with. */
export interface Variable {
  readonly name: string;
  readonly value: string;
}

/** Reads a systemd environment file. https://www.freedesktop.org/software/systemd/man/systemd.exec.html#EnvironmentFile= */
export function parseEnvironmentFile(text: string): Variable[] {
  // A value: pieces in quotes, over lines if need be; and once a piece without has begun, quotes are letters like others.
  const assignments = text.matchAll(
    /^[^\S\n]*(?:[#;](?:\\.|[^\\\n])*|([A-Za-z_]\w*)[^\S\n]*=((?:[^\S\n]|\\\n|'[^']*'|"(?:\\.|[^"\\])*")*)((?:\\.|[^\\\n])*))/gms,
  );
  return [...assignments].flatMap(([, name, quoted = "", bare = ""]) =>
    name === undefined ? [] : [{ name, value: unquotePieces(quoted) + unescapeBare(bare) }],
  );
}

/** Reads what `systemctl show -p Environment` prints: words, quoted where they have to be. */
export function parseEnvironment(shown: string): Variable[] {
  const words = shown.match(/(?:"(?:[^"\\]|\\.)*"|\$'(?:[^'\\]|\\.)*'|[^\s"'])+/g) ?? [];
  return words.flatMap((word) => {
    const plain = unquote(word.replace(/^\$'/, "'"));
    const at = plain.indexOf("=");
    return at <= 0 ? [] : [{ name: plain.slice(0, at), value: plain.slice(at + 1) }];
  });
}

/** Writes an environment file that systemd reads back as the same. */
export function formatEnvironmentFile(variables: readonly Variable[]): string {
  return variables.map(({ name, value }) => `${name}="${value.replaceAll(/["\\$`]/g, "\\$&")}"\n`).join("");
}

function unquotePieces(quoted: string): string {
  const pieces = quoted.match(/'[^']*'|"(?:\\.|[^"\\])*"/gs) ?? [];
  return pieces
    .map((piece) => {
      const inner = piece.slice(1, -1);
      return piece.startsWith("'") ? inner : inner.replaceAll(/\\\n|\\(["\\$`])/g, "$1");
    })
    .join("");
}

function unescapeBare(bare: string): string {
  return bare.replaceAll(/\\(\n)|\\(.)/g, "$2").replace(/[^\S\n]+$/, "");
}

function unquote(value: string): string {
  const [, quoted] = /^"(.*)"$/s.exec(value) ?? /^'(.*)'$/s.exec(value) ?? [];
  return (quoted ?? value).replaceAll(/\\(.)/g, (_, escaped: string) => whitespace.get(escaped) ?? escaped);
}

const whitespace: ReadonlyMap<string, string> = new Map([
  ["n", "\n"],
  ["r", "\r"],
  ["t", "\t"],
]);
