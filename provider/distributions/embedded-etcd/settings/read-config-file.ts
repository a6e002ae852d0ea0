import { parseAllDocuments, type Tags } from "yaml";

/** What a key is given: text, a list of texts, or nothing (`key:`). */
export type ConfigValue = string | readonly string[] | undefined;

/**
 * What one configuration file says, key by key; undefined when it is not YAML, or no mapping. Values are texts as the
 * distributions make them, by the rules of YAML 1.1: `yes` is true, `0644` is 420, and so is a token without quotes.
 */
export function readConfigFile(text: string): readonly (readonly [string, ConfigValue])[] | undefined {
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
  if (!(content instanceof Map)) return undefined;
  return [...content].map(([key, value]: [unknown, unknown]) => [asText(key), asValue(value)]);
}

// To the distributions `12:30` and `2026-11-21` are text.
function withoutTimes(tags: Tags): Tags {
  return tags.filter(
    (tag) => typeof tag === "string" || !(("format" in tag && tag.format === "TIME") || tag.tag.endsWith(":timestamp")),
  );
}

function asValue(content: unknown): ConfigValue {
  if (content === null) return undefined;
  return Array.isArray(content) ? content.map(asText) : asText(content);
}

function asText(content: unknown): string {
  if (typeof content === "string") return content.trim();
  if (typeof content === "boolean") return String(content);
  if (typeof content === "number") return asGoFloat(content);
  if (typeof content === "bigint") return is64Bit(content) ? String(content) : asGoFloat(Number(content));
  return Array.isArray(content) ? asText(content[0]) : "";
}

function is64Bit(number: bigint): boolean {
  return number === BigInt.asIntN(64, number) || number === BigInt.asUintN(64, number);
}

// 1.5 and 100000, but 1e+06.
function asGoFloat(number: number): string {
  const [digits = "", exponent = ""] = number.toExponential().split("e");
  if (Number(exponent) >= -4 && Number(exponent) < 6) return String(number);
  return `${digits}e${exponent.slice(0, 1)}${exponent.slice(1).padStart(2, "0")}`;
}
