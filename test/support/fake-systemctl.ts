import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ScriptHost } from "./script-host";

export interface FakeSystemctl {
  /** What `systemctl show` prints from now on; nothing until then. */
  shows(text: string): void;
  /** What `systemctl is-active` says from now on. */
  isActive(text: string): void;
  /** What it was told to do, in order: it does nothing. */
  told(): string[];
}

/** A `systemctl` that answers what the test scripted, and remembers everything else. */
export function fakeSystemctl(host: ScriptHost): FakeSystemctl {
  host.stub(
    "systemctl",
    `case "$1" in
show) [ -s "$ROOT/show" ] && cat "$ROOT/show"; exit 0 ;;
is-active) cat "$ROOT/active"; grep -qx active "$ROOT/active" ;;
*) echo "$*" >>"$ROOT/told" ;;
esac`,
  );
  return {
    shows: (text) => writeFileSync(join(host.root, "show"), text),
    isActive: (text) => writeFileSync(join(host.root, "active"), text),
    told: () => {
      const path = join(host.root, "told");
      return existsSync(path) ? readFileSync(path, "utf8").trim().split("\n") : [];
    },
  };
}
