import { parseAllDocuments, type Tags } from "yaml";

/**
 * What one configuration file says, key by key; undefined when it is not YAML, or no mapping. Numbers and booleans are
 * read by the rules of YAML 1.1, as the distributions do: `yes` is true, and `0644` is 420.
 */
export function readConfigFile(text: string): readonly (readonly [string, unknown])[] | undefined {
  // Of several documents the distributions read the first.
  const [document] = parseAllDocuments(text, {
    version: "1.1",
    uniqueKeys: false,
    intAsBigInt: true,
    customTags: withoutTimes,
  });
  if (document === undefined) return [];
  if (document.errors.length > 0) return undefined;
  const content: unknown = document.toJS({ mapAsMap: true });
  if (content === null) return [];
  return content instanceof Map
    ? [...content].map(([key, value]: [unknown, unknown]) => [String(key), value])
    : undefined;
}

// To the distributions `12:30` and `2026-11-21` are text.
function withoutTimes(tags: Tags): Tags {
  return tags.filter(
    (tag) => typeof tag === "string" || !(("format" in tag && tag.format === "TIME") || tag.tag.endsWith(":timestamp")),
  );
}
