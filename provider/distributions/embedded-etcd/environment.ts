/** A variable that a unit is started with. */
export interface Variable {
  readonly name: string;
  readonly value: string;
}

/** Reads a systemd environment file. https://www.freedesktop.org/software/systemd/man/systemd.exec.html#EnvironmentFile= */
export function parseEnvironmentFile(text: string): Variable[] {
  const joined = text.replaceAll("\\\n", "");
  return joined.split("\n").flatMap((line) => {
    const [, name, value] = /^\s*([A-Za-z_]\w*)=(.*)$/.exec(line) ?? [];
    return name === undefined || value === undefined ? [] : [{ name, value: unquote(value.trim()) }];
  });
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

function unquote(value: string): string {
  const [, quoted] = /^"(.*)"$/s.exec(value) ?? /^'(.*)'$/s.exec(value) ?? [];
  return (quoted ?? value).replaceAll(/\\(.)/g, "$1");
}
