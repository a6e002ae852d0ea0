/** What a lab's cluster can run. */
export const labDistributions = ["etcd", "k3s", "rke2"] as const;

export type LabDistribution = (typeof labDistributions)[number];

/** Reads `--distribution k3s`, the only option there is; none is etcd. */
export function readDistribution(words: readonly string[]): LabDistribution {
  const all = words.flatMap((word) => {
    const [, value] = /^--distribution=(.*)$/s.exec(word) ?? [];
    return value === undefined ? [word] : ["--distribution", value];
  });
  const known = labDistributions.join(", ");
  const [option, value, ...rest] = all;
  if (option === undefined) return "etcd";
  const unknown = option === "--distribution" ? rest[0] : option;
  if (unknown !== undefined)
    throw new Error(`${unknown}: not known here; there is --distribution with one of ${known}, after \`--\``);
  const found = labDistributions.find((name) => name === value);
  if (found !== undefined) return found;
  throw new Error(
    value === undefined ? `--distribution needs one of ${known}` : `--distribution ${value}: not one of ${known}`,
  );
}
