/** A version of K3s or RKE2, as in `v1.33.7+rke2r2`: minor 33, patch 7, release 2. */
export interface Version {
  readonly program: "k3s" | "rke2";
  readonly minor: number;
  readonly patch: number;
  /** How often the same Kubernetes was released; each program counts for itself. */
  readonly release: number;
}

/** Finds the version in what `--version` prints; undefined for a build of one's own. A release candidate is its release. */
export function parseVersion(text: string): Version | undefined {
  const release = /(?<![\d.])1\.(\d+)\.(\d+)(?:-[a-z]+\d+)?[+-](k3s|rke2r)(\d+)/;
  const [, minor, patch, program, count] = release.exec(text) ?? [];
  if (minor === undefined) return undefined;
  return {
    program: program === "k3s" ? "k3s" : "rke2",
    ...{ minor: Number(minor), patch: Number(patch), release: Number(count) },
  };
}

/**
 * Whether a version is one of `firsts`, such as `1.31.12 1.32.8`, or later in its line; or of a line newer than all of
 * them. A line that is older, or left out in between, never got what came with them. A release (`1.28.4+k3s2`) tells
 * the releases of its own program apart: the other's count from the first.
 */
export function isSince(version: Version, firsts: string): boolean {
  const lines = firsts.split(" ").map(parseFirst);
  const line = lines.find(({ minor }) => minor === version.minor);
  if (line === undefined) return lines.every(({ minor }) => minor < version.minor);
  if (version.patch !== line.patch) return version.patch > line.patch;
  return version.program !== line.program || version.release >= line.release;
}

function parseFirst(text: string): Omit<Version, "program"> & { readonly program: string | undefined } {
  const [, minor, patch, , program, release] = /^1\.(\d+)\.(\d+)(\+(k3s|rke2)r?(\d+))?$/.exec(text) ?? [];
  if (minor === undefined) throw new Error(`${text} is not a version`);
  return { program, minor: Number(minor), patch: Number(patch), release: Number(release ?? 0) };
}
