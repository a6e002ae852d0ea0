import type { BackupSettings, Cluster, S3Settings } from "../../../model";
import type { Finding } from "../../distribution";
import { overrides } from "./backup-drift";
import { flagOn } from "../settings/config-files";
import { askedFor, dropIn, inputName } from "./drop-in";
import type { EmbeddedFacts } from "../facts";
import { s3Secret } from "./s3-secret";
import { type Circumstance, firstWith, knownProblems, type KnownProblem, knowsKey, supports } from "../versions";

/** Why a server could not do what is declared, or would not. */
export function backupFindings(cluster: Cluster, settings: BackupSettings, facts: EmbeddedFacts): Finding[] {
  const { server, version } = facts;
  const ours = dropIn(cluster, settings, facts);
  return [
    ...missingFeatures(cluster, settings, version).map((line): Finding => ({
      code: "UNSUPPORTED_VERSION",
      text: `${server}: ${line}`,
    })),
    ...problemsOf(settings, facts, "refusal").map(({ text, link }): Finding => ({
      code: "UNSUPPORTED_VERSION",
      text: `${server}: ${version}: ${text} ${link}`,
    })),
    ...overrides(ours, facts).map((line): Finding => {
      const text = `${server}: ${line}; what overrules ${ours.path} there has to go first`;
      return { code: "MANAGED_ELSEWHERE", text };
    }),
    ...besideSecret(settings.s3, facts, ours.path),
  ];
}

/** What a user should know of this version with these settings, a line each. */
export function backupAdvice(settings: BackupSettings, facts: EmbeddedFacts): string[] {
  const { version } = facts;
  const s3On = facts.settings.values.get("etcd-s3");
  return [
    ...problemsOf(settings, facts, "advice").map(({ text, link }) => `${version}: ${text} ${link}`),
    ...(settings.s3?.configSecret === undefined
      ? []
      : [
          "with s3.configSecret nothing prunes the bucket: give it a lifecycle rule. https://docs.k3s.io/cli/etcd-snapshot#s3-configuration-secret-support",
        ]),
    ...(settings.s3 === undefined && flagOn(facts.settings, "etcd-s3")
      ? [
          `no s3 is declared, but the servers' own configuration sends snapshots to S3 (etcd-s3 by ${s3On?.source ?? ""})`,
        ]
      : []),
  ];
}

/** What is asked for and the version does not know, a line each. What is off or empty is not asked for. */
export function missingFeatures(cluster: Cluster, settings: BackupSettings, version: string): string[] {
  const asked: Record<string, unknown> = {
    ...askedFor(cluster, settings),
    ...s3Secret(cluster, settings, "")?.data,
    // Said always, and its absence is advice.
    "etcd-s3-retention": undefined,
    "etcd-s3-timeout": settings.s3?.timeout,
    "etcd-s3-bucket-lookup-type": settings.s3?.bucketLookup === "auto" ? undefined : settings.s3?.bucketLookup,
  };
  return Object.entries(asked)
    .filter(([key, value]) => ![undefined, "", false, "false"].includes(value as string) && !knowsKey(version, key))
    .map(
      ([key]) => `${inputName(key)}: ${version} does not know it; ${firstWith(version, key)} is the first that does`,
    );
}

function problemsOf(
  settings: BackupSettings,
  facts: EmbeddedFacts,
  severity: KnownProblem["severity"],
): readonly KnownProblem[] {
  const has = circumstances(settings, facts);
  return knownProblems(facts.version).filter(
    (problem) =>
      problem.severity === severity &&
      problem.operations.includes("backup") &&
      (problem.when === undefined || has.has(problem.when)),
  );
}

function circumstances({ compress, s3 }: BackupSettings, facts: EmbeddedFacts): ReadonlySet<Circumstance> {
  const all: Readonly<Record<Circumstance, boolean>> = {
    compress: compress ?? false,
    "ipv6-only": facts.address.includes(":"),
    s3: s3 !== undefined,
    "s3-config-secret": s3?.configSecret !== undefined,
    "s3-endpoint": s3?.endpoint !== undefined,
    "s3-folder": s3 !== undefined,
    "s3-role": s3 !== undefined && s3.accessKeyId === undefined,
    "secrets-encryption": flagOn(facts.settings, "secrets-encryption"),
  };
  return new Set((Object.keys(all) as Circumstance[]).filter((name) => all[name]));
}

/** The servers ignore the Secret when anything else says something of S3. */
function besideSecret(s3: S3Settings | undefined, facts: EmbeddedFacts, ours: string): Finding[] {
  if (s3?.configSecret === undefined || !supports(facts.version, "config-secret")) return [];
  const others = [...facts.settings.values].filter(
    ([key, { source, value }]) =>
      key.startsWith("etcd-s3-") && key !== "etcd-s3-config-secret" && source !== ours && value !== "",
  );
  if (others.length === 0) return [];
  const said = others.map(([key, { source }]) => `${key} (by ${source})`).join(", ");
  return [
    {
      code: "MANAGED_ELSEWHERE",
      text: `${facts.server}: s3.configSecret would be ignored, because the server is also told ${said}`,
    },
  ];
}
