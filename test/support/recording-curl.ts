import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";

/** A `curl` that writes down its arguments and its environment, and then is the real one. */
export interface RecordingCurl {
  /** One text for each time that it ran. */
  calls(): readonly string[];
  restore(): void;
}

export function recordCurl(directory: string): RecordingCurl {
  const real = execFileSync("sh", ["-c", "command -v curl"], { encoding: "utf8" }).trim();
  const [bin, log] = [join(directory, "bin"), join(directory, "curl.log")];
  mkdirSync(bin, { recursive: true });
  const lines = [
    "#!/bin/sh",
    `{ printf '%s ' "$@"; echo; tr '\\0' ' ' </proc/self/environ; echo; echo end-of-call; } >>'${log}'`,
    `exec '${real}' "$@"`,
  ];
  writeFileSync(join(bin, "curl"), `${lines.join("\n")}\n`);
  chmodSync(join(bin, "curl"), 0o755);
  const before = process.env["PATH"] ?? "";
  process.env["PATH"] = `${bin}${delimiter}${before}`;
  return {
    calls: () => (existsSync(log) ? readFileSync(log, "utf8").split("end-of-call\n").slice(0, -1) : []),
    restore: () => {
      process.env["PATH"] = before;
    },
  };
}
