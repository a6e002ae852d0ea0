/** Splits the answer of a script that heads each part with `<mark> <name>`. */
export function parseParts(answer: string, mark: string): ReadonlyMap<string, string> {
  const parts = new Map<string, string>();
  for (const piece of answer.split(`\n${mark} `).slice(1)) {
    const end = piece.indexOf("\n");
    const name = end < 0 ? piece : piece.slice(0, end);
    parts.set(name.trim(), end < 0 ? "" : piece.slice(end + 1).trimEnd());
  }
  return parts;
}

/** Lines of `name=value`; a name that comes twice keeps all its values, in order. */
export function parsePairs(text: string): ReadonlyMap<string, readonly string[]> {
  const pairs = new Map<string, string[]>();
  for (const line of text.split("\n")) {
    const at = line.indexOf("=");
    if (at > 0) pairs.set(line.slice(0, at), [...(pairs.get(line.slice(0, at)) ?? []), line.slice(at + 1)]);
  }
  return pairs;
}
