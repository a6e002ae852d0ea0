import type { HostReader } from "../transport/host";
import { sh } from "../transport/shell";
import type { Finding } from "./distribution";

/** What a restore needs for a while, and where: bytes by path. Paths on one file system are added up. */
interface SpaceNeed {
  readonly path: string;
  readonly bytes: number;
}

/** The file systems of one server that are too full for a restore. */
export async function spaceFindings(host: HostReader, needs: readonly SpaceNeed[]): Promise<Finding[]> {
  const { stdout } =
    await host.query(sh`there() { p=$1; while [ ! -e "$p" ]; do p=$(dirname "$p"); done; printf '%s\n' "$p"; }
for p in ${needs.map((need) => need.path)}; do
  p=$(there "$p"); printf '%s %s\n' "$(stat -c %d "$p")" "$(df -Pk "$p" | awk 'NR == 2 {print $4}')"
done`);
  const lines = stdout.trim().split("\n");
  const devices = new Map<string, { free: number; needed: number }>();
  needs.forEach(({ bytes }, index) => {
    const [device = "", free = "0"] = (lines[index] ?? "").split(" ");
    devices.set(device, { free: Number(free) * 1024, needed: (devices.get(device)?.needed ?? 0) + bytes });
  });
  return [...devices.values()]
    .filter(({ free, needed }) => free < needed)
    .map(({ free, needed }) => ({
      code: "NO_SPACE",
      text: `${host.name}: no space: a restore needs ${megabytes(needed)} for a while, ${megabytes(free)} are free`,
    }));
}

export function megabytes(bytes: number): string {
  return bytes < 10 * 1024 * 1024 ? `${Math.ceil(bytes / 1024)} KiB` : `${Math.ceil(bytes / 1024 / 1024)} MiB`;
}
