/** One line of what K3s and RKE2 log. */
interface LogLine {
  readonly level: string;
  readonly message: string;
}

/** Reads what K3s and RKE2 write where nobody types: `time="…" level=info msg="…"`. Other lines are left out. */
export function parseLog(text: string): readonly LogLine[] {
  return text.split("\n").flatMap((line) => {
    const [, level, quoted, bare] = /\blevel=(\w+) msg=(?:("(?:[^"\\]|\\.)*")|(\S*))/.exec(line) ?? [];
    return level === undefined ? [] : [{ level, message: quoted === undefined ? (bare ?? "") : unquote(quoted) }];
  });
}

/** What Go's %q wrote, as far as JSON has the same escapes. */
function unquote(quoted: string): string {
  try {
    return JSON.parse(quoted) as string;
  } catch {
    return quoted.slice(1, -1);
  }
}
