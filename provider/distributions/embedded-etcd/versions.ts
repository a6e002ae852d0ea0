import { isSince, parseVersion, type Version } from "./version";

// What the releases of K3s and RKE2 can do, what they get wrong, and which etcd they hold. RKE2 has K3s inside: releases
// of the same Kubernetes carry the same code. Read in their sources, tags and issues, August to November 2026.

export type Feature = keyof typeof features | "server-flag";

/** The first versions with it, one per line of releases. */
const features = {
  /** `etcd-snapshot save`, where before there was only `etcd-snapshot`. */
  "save-subcommand": "1.21.0",
  /** `etcd-s3-insecure` and `etcd-s3-timeout`. */
  "s3-timeout": "1.20.12 1.21.6",
  compress: "1.20.15 1.21.9 1.22.6 1.23.3",
  /** A reset refuses to run with `server` set; before, it hung. https://github.com/k3s-io/k3s/issues/8488 */
  "server-url-refused": "1.25.15 1.26.10 1.27.7 1.28.3",
  /** Snapshots are ETCDSnapshotFile objects; before, lines of a ConfigMap. https://github.com/k3s-io/k3s/issues/8611 */
  "snapshot-crd": "1.25.16+k3s4 1.26.11+k3s2 1.27.8+k3s2 1.28.4+k3s2",
  /** `etcd-snapshot` asks the running server; before, it talked to etcd itself, and had to have its whole configuration. */
  "http-cli": "1.27.13 1.28.9 1.29.4 1.30.0",
  /** `etcd-snapshot --etcd-server`. https://github.com/k3s-io/k3s/issues/10513 */
  "etcd-server-flag": "1.27.16 1.28.12 1.29.7 1.30.3",
  proxy: "1.27.16 1.28.12 1.29.7 1.30.3",
  /** `etcd-s3-config-secret`. https://github.com/k3s-io/k3s/issues/10370 */
  "config-secret": "1.27.16 1.28.12 1.29.7 1.30.3",
  "session-token": "1.29.14 1.30.10 1.31.6 1.32.2",
  "reconcile-interval": "1.29.15 1.30.11 1.31.7 1.32.3",
  "bucket-lookup": "1.30.13 1.31.9 1.32.5 1.33.1",
  /** `etcd-s3-retention`; before, S3 kept what `etcd-snapshot-retention` says. https://github.com/k3s-io/k3s/issues/12671 */
  "s3-retention": "1.31.12 1.32.8 1.33.4",
} as const;

/** Whether a version has a feature. A build whose version cannot be read is taken for a new one. */
export function supports(version: string, feature: Feature): boolean {
  const parsed = parseVersion(version);
  // While the command line was new, it called the flag `--server`.
  if (feature === "server-flag")
    return parsed !== undefined && has(parsed, "http-cli") && !has(parsed, "etcd-server-flag");
  return parsed === undefined || has(parsed, feature);
}

/** Whether a version's server knows a key of its configuration that has to do with snapshots. */
export function knowsKey(version: string, key: string): boolean {
  const feature = keyFeatures.get(key);
  return feature === undefined || supports(version, feature);
}

/** The first version of the server's line, or else of the oldest line, whose server knows a key. */
export function firstWith(version: string, key: string): string {
  const feature = keyFeatures.get(key);
  const firsts = feature === undefined || feature === "server-flag" ? [] : features[feature].split(" ");
  const minor = parseVersion(version)?.minor;
  const later = firsts.filter((first) => Number(first.split(".")[1]) >= (minor ?? 0));
  return `v${later[0] ?? firsts.at(-1) ?? version}`;
}

const keyFeatures: ReadonlyMap<string, Feature> = new Map([
  ["etcd-snapshot-compress", "compress"],
  ["etcd-snapshot-reconcile-interval", "reconcile-interval"],
  ["etcd-s3-bucket-lookup-type", "bucket-lookup"],
  ["etcd-s3-config-secret", "config-secret"],
  ["etcd-s3-insecure", "s3-timeout"],
  ["etcd-s3-proxy", "proxy"],
  ["etcd-s3-retention", "s3-retention"],
  ["etcd-s3-session-token", "session-token"],
  ["etcd-s3-timeout", "s3-timeout"],
]);

type Operation = "backup" | "snapshot" | "restore" | "restore-new-machines";

/** What a cluster must have for a problem to be one. */
export type Circumstance =
  "compress" | "ipv6-only" | "s3" | "s3-config-secret" | "s3-endpoint" | "s3-folder" | "s3-role" | "secrets-encryption";

export interface KnownProblem {
  /** One or two sentences: what happens, and what to do. */
  readonly text: string;
  readonly link: string;
  /** A refusal: the operation would lose data, or could not end well. */
  readonly severity: "advice" | "refusal";
  readonly operations: readonly Operation[];
  /** Undefined when it concerns every cluster. */
  readonly when?: Circumstance;
}

/** What is known to be wrong with a version. Nothing is known of a build whose version cannot be read. */
export function knownProblems(version: string): readonly KnownProblem[] {
  const parsed = parseVersion(version);
  if (parsed === undefined) return [];
  return problems
    .filter(({ program, from, before }) => {
      const begun = from === undefined || isSince(parsed, from);
      const ended = before !== undefined && isSince(parsed, before);
      return begun && !ended && (program === undefined || program === parsed.program);
    })
    .map(({ text, link, severity, operations, when }) => ({
      ...{ text, link, severity, operations },
      ...(when === undefined ? {} : { when }),
    }));
}

interface Range {
  readonly program?: Version["program"];
  readonly from?: string;
  /** The first versions without it; absent while there is none. */
  readonly before?: string;
}

// Zip files are unpacked in another way from here on: https://github.com/k3s-io/k3s/pull/13826, merged on 16 March 2026.
// That doubles full paths was seen in 1.35.5 and 1.36.3, and not in 1.35.2.
const zipsUnpackedAnew = "1.33.11 1.34.7 1.35.4";

const upgradeToEtcd36 = {
  text: "An upgrade to etcd 3.6 (1.33.11, and 1.34 on) must start from etcd 3.5.26, or members that were removed come back. Go through the newest 1.32, or through 1.33.8 to 1.33.10.",
  link: "https://github.com/etcd-io/etcd/issues/20967",
  severity: "advice",
  operations: ["backup"],
} as const;

const problems: readonly (KnownProblem & Range)[] = [
  {
    before: "1.33.0",
    text: "This line of Kubernetes gets no more releases, and so no more fixes.",
    link: "https://kubernetes.io/releases/patch-releases/",
    severity: "advice",
    operations: ["backup"],
  },
  { ...upgradeToEtcd36, program: "rke2", from: "1.32.0", before: "1.32.11+rke2r2 1.33.7+rke2r2" },
  // Which of K3s's releases of those patches has etcd 3.5.26 is not known.
  { ...upgradeToEtcd36, program: "k3s", from: "1.32.0", before: "1.32.12 1.33.8" },
  {
    program: "rke2",
    before: "1.20.10",
    text: "Up to 1.20.9 a snapshot does not hold the cluster's certificates and keys: on new machines its data cannot be read. Copy server/cred and server/tls of an old server first, by RKE2's own instructions.",
    link: "https://docs.rke2.io/datastore/backup_restore",
    severity: "refusal",
    operations: ["restore-new-machines"],
  },
  {
    before: "1.20.13 1.21.7 1.22.4",
    text: "A reset keeps the address of the machine that the snapshot is from, and hangs on one with another address. Install a newer patch of the same line on the new machines.",
    link: "https://github.com/k3s-io/k3s/issues/4296",
    severity: "refusal",
    operations: ["restore-new-machines"],
  },
  {
    before: "1.22.12 1.23.9 1.24.3",
    text: "A snapshot of a cluster with secrets-encryption could not be restored on a new machine. Install a newer patch of the same line there.",
    link: "https://github.com/k3s-io/k3s/issues/5763",
    severity: "advice",
    operations: ["restore-new-machines"],
    when: "secrets-encryption",
  },
  {
    from: "1.22.6",
    before: "1.22.7",
    text: "Restores were seen to end with `failed to write to : open`. Install a newer patch first.",
    link: "https://github.com/k3s-io/k3s/issues/6831",
    severity: "advice",
    operations: ["restore", "restore-new-machines"],
  },
  {
    program: "rke2",
    before: "1.25.14 1.26.9 1.27.6 1.28.2",
    text: "After a restore, old etcd and API server containers could come up in the wrong order, and the first start hang.",
    link: "https://github.com/rancher/rke2/issues/4707",
    severity: "advice",
    operations: ["restore", "restore-new-machines"],
  },
  {
    before: "1.28.7",
    text: "On hosts with IPv6 only, snapshots could neither be taken nor restored.",
    link: "https://github.com/k3s-io/k3s/issues/9706",
    severity: "advice",
    operations: ["backup", "snapshot", "restore", "restore-new-machines"],
    when: "ipv6-only",
  },
  {
    before: "1.25.16+k3s4 1.26.11+k3s2 1.27.8+k3s2 1.28.4+k3s2",
    text: "The list of snapshots is kept in one ConfigMap, which becomes too large where many are kept; then the list is no longer updated.",
    link: "https://github.com/k3s-io/k3s/issues/8611",
    severity: "advice",
    operations: ["backup"],
  },
  {
    before: "1.22.12 1.23.9 1.24.3",
    text: "Unless etcd-s3-timeout says otherwise an upload is given up after 30 seconds, and scheduled snapshots are not compressed.",
    link: "https://github.com/k3s-io/k3s/pull/5833",
    severity: "advice",
    operations: ["backup"],
    when: "s3",
  },
  {
    before: "1.24.4",
    text: "A machine's role is not found where the metadata service asks for sessions (IMDSv2).",
    link: "https://github.com/rancher/rke2/issues/3198",
    severity: "advice",
    operations: ["backup", "snapshot"],
    when: "s3-role",
  },
  {
    before: "1.27.15 1.28.11 1.29.6 1.30.2",
    text: "Retention does not work in a folder of a bucket: old snapshots stay there.",
    link: "https://github.com/k3s-io/k3s/issues/10292",
    severity: "advice",
    operations: ["backup"],
    when: "s3-folder",
  },
  {
    from: "1.27.16 1.28.12 1.29.7 1.30.3",
    before: "1.30.13 1.31.9 1.32.5 1.33.1",
    text: "With a machine's role, uploads fail some hours after the server was started, until it is started again.",
    link: "https://github.com/rancher/rke2/issues/8119",
    severity: "advice",
    operations: ["backup", "snapshot"],
    when: "s3-role",
  },
  {
    before: "1.30.13 1.31.9 1.32.5 1.33.1",
    text: "How the bucket is addressed cannot be set (etcd-s3-bucket-lookup-type): a store that knows only paths may refuse.",
    link: "https://github.com/k3s-io/k3s/issues/12244",
    severity: "advice",
    operations: ["backup", "snapshot"],
    when: "s3-endpoint",
  },
  {
    before: "1.31.12 1.32.8 1.33.4",
    text: "S3 keeps as many snapshots as etcd-snapshot-retention says. An upgrade to 1.31.12, 1.32.8, 1.33.4 or some later versions reads etcd-s3-retention instead, 5 when it is not set, and deletes the rest: run `pulumi up` right after an upgrade.",
    link: "https://github.com/k3s-io/k3s/issues/13769",
    severity: "advice",
    operations: ["backup"],
    when: "s3",
  },
  {
    from: "1.31.12 1.32.8 1.33.4",
    before: "1.33.10 1.34.6 1.35.3",
    text: "Where etcd-s3-retention is not set, S3 keeps 5 snapshots, whatever etcd-snapshot-retention says. Backups configured here set both.",
    link: "https://github.com/k3s-io/k3s/issues/13769",
    severity: "advice",
    operations: ["backup"],
    when: "s3",
  },
  {
    from: "1.31.12 1.32.8 1.33.4",
    text: "The S3 settings of a Secret were ignored, because etcd-s3-retention counts as a setting of its own; the command line still says `saved`. See that a snapshot is in the bucket.",
    link: "https://github.com/k3s-io/k3s/issues/12945",
    severity: "advice",
    operations: ["backup", "snapshot"],
    when: "s3-config-secret",
  },
  {
    before: zipsUnpackedAnew,
    text: "A restore by hand writes the files of a compressed snapshot wherever their names say (CVE-2026-54250). Restores from here unpack it themselves.",
    link: "https://github.com/k3s-io/k3s/security/advisories/GHSA-jxr7-mqhw-9p98",
    severity: "advice",
    operations: ["backup"],
    when: "compress",
  },
  {
    from: zipsUnpackedAnew,
    text: "A restore by hand of a compressed snapshot fails when its full path is given: unpack it first. Restores from here do.",
    link: "https://github.com/k3s-io/k3s/issues/14526",
    severity: "advice",
    operations: ["backup"],
    when: "compress",
  },
];

/** The etcd in a version: `3.5.26`, or `3.5` where only its minor version is known; undefined where nothing is. */
export function etcdVersionOf(version: string): string | undefined {
  const parsed = parseVersion(version);
  if (parsed === undefined) return undefined;
  const passed = etcdVersions.filter(([since]) => isSince(parsed, since));
  const [since, etcd] = passed.at(-1) ?? [];
  // Which of RKE2's releases of a patch got a new etcd says nothing about K3s's.
  const unsure = parsed.program === "k3s" && since?.startsWith(`1.${parsed.minor}.${parsed.patch}+rke2r`) === true;
  return unsure ? etcd?.split(".").slice(0, 2).join(".") : etcd;
}

// RKE2's scripts/version.sh, tag by tag. A line ends where its tags end; what comes after has at least its minor version.
const etcdVersions: readonly (readonly [since: string, etcd: string | undefined])[] = [
  ["1.19.0", "3.4"],
  ["1.22.0", "3.5"],
  ["1.24.13", "3.5.7"],
  ["1.24.17", "3.5.9"],
  ["1.25.0", "3.5"],
  ["1.25.9", "3.5.7"],
  ["1.25.13", "3.5.9"],
  ["1.26.0", "3.5"],
  ["1.27.15", "3.5.13"],
  ["1.28.0", "3.5"],
  ["1.28.11", "3.5.13"],
  ["1.29.0", "3.5"],
  ["1.32.0", "3.5.16"],
  ["1.32.4", "3.5.21"],
  ["1.32.11+rke2r1", "3.5.25"],
  ["1.32.11+rke2r2", "3.5.26"],
  ["1.32.14", "3.5"],
  ["1.33.0", "3.5.21"],
  ["1.33.7+rke2r1", "3.5.25"],
  ["1.33.7+rke2r2", "3.5.26"],
  ["1.33.11", "3.6.7"],
  ["1.33.13+rke2r1", "3.6.12"],
  ["1.33.13+rke2r2", "3.6.14"],
  ["1.33.14", "3.6"],
  ["1.34.1", "3.6.4"],
  ["1.34.2", "3.6"],
  ["1.34.9", "3.6.12"],
  ["1.34.10", "3.6.14"],
  ["1.34.11", "3.6"],
  ["1.35.6", "3.6.12"],
  ["1.35.7", "3.6.14"],
  ["1.35.8", "3.6"],
  ["1.36.0", "3.6.7"],
  ["1.36.2", "3.6.12"],
  ["1.36.3", "3.6.14"],
  ["1.36.4", "3.6"],
  ["1.37.0", "3.7"],
  ["1.38.0", undefined],
];

function has(version: Version, feature: keyof typeof features): boolean {
  return isSince(version, features[feature]);
}
