import { isSince, parseVersion } from "../../../../provider/distributions/embedded-etcd/version";
import {
  etcdVersionOf,
  type Feature,
  knownProblems,
  knowsKey,
  supports,
} from "../../../../provider/distributions/embedded-etcd/versions";

test.each([
  ["v1.35.4+k3s1", { program: "k3s", minor: 35, patch: 4, release: 1 }],
  ["v1.33.7+rke2r2", { program: "rke2", minor: 33, patch: 7, release: 2 }],
  ["1.25.16+k3s4", { program: "k3s", minor: 25, patch: 16, release: 4 }],
  ["v1.28.3-rc1+k3s1", { program: "k3s", minor: 28, patch: 3, release: 1 }],
  ["v1.32.3-k3s1", { program: "k3s", minor: 32, patch: 3, release: 1 }],
  ["k3s version v1.35.4+k3s1 (eb603acd)\ngo version go1.25.5\n", { program: "k3s", minor: 35, patch: 4, release: 1 }],
  [
    "rke2 version v1.33.7+rke2r2 (0b2a4ff4)\ngo version go1.24.9 X:boringcrypto\n",
    { program: "rke2", minor: 33, patch: 7, release: 2 },
  ],
])("%j is the version %j", (text, expected) => {
  expect(parseVersion(text)).toEqual(expected);
});

test.each(["", "unknown", "v1.35.4", "v1.35.4+k3s-eb603acd", "v1.35.4+dev.1", "v11.35.4+k3s1", "etcd 3.5.26"])(
  "%j is no version of a release",
  (text) => {
    expect(parseVersion(text)).toBeUndefined();
  },
);

test.each([
  ["v1.31.12+k3s1", true],
  ["v1.31.11+k3s9", false],
  ["v1.32.9+k3s1", true],
  ["v1.30.14+k3s1", false], // an older line never got it
  ["v1.33.0+k3s1", false], // nor did one in between that is left out
  ["v1.34.3+rke2r2", false],
  ["v1.34.4+rke2r1", false],
  ["v1.34.4+rke2r2", true],
  ["v1.34.4+k3s1", true], // K3s counts its own releases
  ["v1.35.0+k3s1", true], // newer than all lines
])("since 1.31.12, 1.32.8 and 1.34.4+rke2r2: %s %s", (text, expected) => {
  const version = parseVersion(text);
  expect(version && isSince(version, "1.31.12 1.32.8 1.34.4+rke2r2")).toBe(expected);
});

// The release before, the first one of a line, and a line that never got it.
test.each<readonly [Feature, without: string, first: string, never: string]>([
  ["save-subcommand", "v1.20.15+k3s1", "v1.21.0+k3s1", "v1.19.16+k3s1"],
  ["s3-timeout", "v1.21.5+k3s1", "v1.21.6+k3s1", "v1.19.16+k3s1"],
  ["compress", "v1.23.2+k3s1", "v1.23.3+k3s1", "v1.19.16+k3s1"],
  ["server-url-refused", "v1.27.6+rke2r1", "v1.27.7+rke2r1", "v1.24.17+rke2r1"],
  ["snapshot-crd", "v1.28.4+k3s1", "v1.28.4+k3s2", "v1.24.17+k3s1"],
  ["http-cli", "v1.29.3+k3s1", "v1.29.4+k3s1", "v1.26.15+k3s1"],
  ["etcd-server-flag", "v1.30.2+rke2r1", "v1.30.3+rke2r1", "v1.26.15+rke2r1"],
  ["proxy", "v1.28.11+k3s1", "v1.28.12+k3s1", "v1.26.15+k3s1"],
  ["config-secret", "v1.29.6+k3s1", "v1.29.7+k3s1", "v1.26.15+k3s1"],
  ["session-token", "v1.32.1+k3s1", "v1.32.2+k3s1", "v1.28.15+k3s1"],
  ["reconcile-interval", "v1.30.10+k3s1", "v1.30.11+k3s1", "v1.28.15+k3s1"],
  ["bucket-lookup", "v1.33.0+k3s1", "v1.33.1+k3s1", "v1.29.15+k3s1"],
  ["s3-retention", "v1.33.3+k3s1", "v1.33.4+k3s1", "v1.30.14+k3s1"],
])("%s: not in %s, in %s and what follows, never in the line of %s", (feature, without, first, never) => {
  expect([without, first, "v1.36.3+k3s1", never].map((version) => supports(version, feature))).toEqual([
    ...[false, true, true, false],
  ]);
});

test.each([
  ["v1.26.9+k3s1", false, false],
  ["v1.29.4+k3s1", true, false],
  ["v1.30.2+rke2r1", true, false],
  ["v1.30.3+rke2r1", false, true],
  ["v1.35.4+k3s1", false, true],
  ["unknown", false, true],
])("the command line of %s has --server: %s, --etcd-server: %s", (version, server, etcdServer) => {
  expect([supports(version, "server-flag"), supports(version, "etcd-server-flag")]).toEqual([server, etcdServer]);
});

test("a build whose version cannot be read is taken for a new one", () => {
  expect(supports("v1.35.4+k3s-eb603acd", "s3-retention")).toBe(true);
  expect(knownProblems("v1.20.0+k3s-eb603acd")).toEqual([]);
  expect(etcdVersionOf("v1.35.4+k3s-eb603acd")).toBeUndefined();
});

test("an old server knows the old keys only", () => {
  const keys = ["etcd-snapshot-retention", "etcd-s3-timeout", "etcd-s3-proxy", "etcd-s3-retention", "tls-san"];
  expect(keys.filter((key) => knowsKey("v1.26.9+k3s1", key))).toEqual([
    ...["etcd-snapshot-retention", "etcd-s3-timeout", "tls-san"],
  ]);
  expect(keys.filter((key) => knowsKey("v1.35.4+k3s1", key))).toEqual(keys);
});

test.each([
  ["v1.18.20+k3s1", undefined],
  ["v1.21.14+k3s1", "3.4"],
  ["v1.22.17+k3s1", "3.5"],
  ["v1.24.12+rke2r1", "3.5"],
  ["v1.24.13+rke2r1", "3.5.7"],
  ["v1.25.8+rke2r1", "3.5"],
  ["v1.25.16+rke2r1", "3.5.9"],
  ["v1.27.14+rke2r1", "3.5"],
  ["v1.27.16+rke2r1", "3.5.13"],
  ["v1.28.10+rke2r1", "3.5"],
  ["v1.31.14+rke2r1", "3.5"],
  ["v1.32.3+rke2r1", "3.5.16"],
  ["v1.32.10+rke2r1", "3.5.21"],
  ["v1.32.11+rke2r1", "3.5.25"],
  ["v1.32.11+rke2r2", "3.5.26"],
  ["v1.32.11+k3s1", "3.5"],
  ["v1.32.12+k3s1", "3.5.26"],
  ["v1.33.6+k3s1", "3.5.21"],
  ["v1.33.7+k3s3", "3.5"],
  ["v1.33.10+k3s1", "3.5.26"],
  ["v1.33.11+k3s1", "3.6.7"],
  ["v1.33.13+rke2r1", "3.6.12"],
  ["v1.33.13+rke2r2", "3.6.14"],
  ["v1.33.13+k3s1", "3.6"],
  ["v1.34.0+k3s1", "3.6"],
  ["v1.34.1+k3s1", "3.6.4"],
  ["v1.34.10+rke2r1", "3.6.14"],
  ["v1.35.4+k3s1", "3.6"],
  ["v1.35.7+rke2r1", "3.6.14"],
  ["v1.36.3+rke2r1", "3.6.14"],
  ["v1.36.9+rke2r1", "3.6"],
  ["v1.37.0+k3s1", "3.7"],
  ["v1.38.0+k3s1", undefined],
])("%s holds etcd %s", (version, etcd) => {
  expect(etcdVersionOf(version)).toBe(etcd);
});

const told = (version: string): string[] =>
  knownProblems(version)
    .map(({ link, severity, operations, when }) =>
      [link.replace(/^.*?\/\/(github\.com\/)?/, ""), severity, operations.join("+"), when ?? ""].join(" ").trimEnd(),
    )
    .sort();

test("what is known of a version that is maintained", () => {
  expect(told("v1.35.7+k3s1")).toEqual([
    "k3s-io/k3s/issues/12945 advice backup+snapshot s3-config-secret",
    "k3s-io/k3s/issues/14526 advice backup compress",
  ]);
});

test("what is known of an old version", () => {
  expect(told("v1.26.9+rke2r1")).toEqual([
    "k3s-io/k3s/issues/10292 advice backup s3-folder",
    "k3s-io/k3s/issues/12244 advice backup+snapshot s3-endpoint",
    "k3s-io/k3s/issues/13769 advice backup s3",
    "k3s-io/k3s/issues/8611 advice backup",
    "k3s-io/k3s/issues/9706 advice backup+snapshot+restore+restore-new-machines ipv6-only",
    "k3s-io/k3s/security/advisories/GHSA-jxr7-mqhw-9p98 advice backup compress",
    "kubernetes.io/releases/patch-releases/ advice backup",
  ]);
});

// The last release with it, and the first without.
test.each([
  ["issues/14526", "v1.35.5+k3s1", "v1.35.2+k3s1"],
  ["GHSA-jxr7-mqhw-9p98", "v1.35.2+k3s1", "v1.35.5+k3s1"],
  ["issues/12945", "v1.32.8+k3s1", "v1.32.7+k3s1"],
  ["issues/13769", "v1.34.5+k3s1", "v1.34.6+k3s1"],
  ["issues/13769", "v1.30.14+k3s1", "v1.35.3+k3s1"],
  ["rke2/issues/8119", "v1.32.4+rke2r1", "v1.32.5+rke2r1"],
  ["rke2/issues/8119", "v1.29.15+k3s1", "v1.29.6+k3s1"],
  ["rke2/issues/4707", "v1.27.5+rke2r1", "v1.27.6+rke2r1"],
  ["rke2/issues/4707", "v1.24.17+rke2r1", "v1.27.5+k3s1"],
  ["rke2/issues/3198", "v1.24.3+rke2r1", "v1.24.4+rke2r1"],
  ["issues/12244", "v1.33.0+k3s1", "v1.33.1+k3s1"],
  ["issues/10292", "v1.30.1+k3s1", "v1.30.2+k3s1"],
  ["issues/8611", "v1.28.4+k3s1", "v1.28.4+k3s2"],
  ["issues/9706", "v1.28.6+k3s1", "v1.28.7+k3s1"],
  ["issues/6831", "v1.22.6+k3s1", "v1.22.7+k3s1"],
  ["issues/6831", "v1.22.6+k3s1", "v1.22.5+k3s1"],
  ["issues/5763", "v1.24.2+k3s1", "v1.24.3+k3s1"],
  ["pull/5833", "v1.23.8+k3s1", "v1.23.9+k3s1"],
  ["issues/4296", "v1.22.3+k3s1", "v1.22.4+k3s1"],
  ["docs.rke2.io", "v1.20.9+rke2r1", "v1.20.10+rke2r1"],
  ["docs.rke2.io", "v1.20.9+rke2r1", "v1.20.9+k3s1"],
  ["patch-releases", "v1.32.13+rke2r2", "v1.33.0+rke2r1"],
  ["etcd/issues/20967", "v1.33.7+rke2r1", "v1.33.7+rke2r2"],
  ["etcd/issues/20967", "v1.33.7+k3s1", "v1.33.8+k3s1"],
  ["etcd/issues/20967", "v1.32.0+k3s1", "v1.31.14+k3s1"],
])("%s is told of %s, not of %s", (link, affected, free) => {
  const isTold = (version: string): boolean => knownProblems(version).some((problem) => problem.link.includes(link));
  expect([isTold(affected), isTold(free)]).toEqual([true, false]);
});

test("only a restore on new machines is refused for its version", () => {
  const minors = Array.from({ length: 20 }, (_, index) => index + 18);
  const all = minors.flatMap((minor) =>
    Array.from({ length: 20 }, (_, patch) => [`v1.${minor}.${patch}+k3s1`, `v1.${minor}.${patch}+rke2r1`]).flat(),
  );
  const refused = all.flatMap(knownProblems).filter(({ severity }) => severity === "refusal");
  expect(new Set(refused.flatMap(({ operations }) => operations))).toEqual(new Set(["restore-new-machines"]));
  expect(knownProblems("v1.22.4+k3s1").filter(({ severity }) => severity === "refusal")).toEqual([]);
});
