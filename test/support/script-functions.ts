import { spawnSync } from "node:child_process";
import { backupScript } from "../../provider/distributions/etcd/backup-script";

/** Shells that the script has to work in; busybox where this machine has it. */
export const shells: readonly (readonly [string, ...string[]])[] = [
  ["dash"],
  ["bash", "--posix"],
  ...(spawnSync("busybox", ["true"]).status === 0 ? [["busybox", "sh"] as const] : []),
];

/** Runs lines of sh with the functions of the backup script at hand, and gives what they print. */
export function callScript(shell: readonly [string, ...string[]], lines: readonly string[]): string {
  const run = 'main "$@"\n';
  if (!backupScript.endsWith(run)) throw new Error("the script no longer ends by calling main");
  const text = `${backupScript.slice(0, -run.length)}\n${lines.join("\n")}\n`;
  const [program, ...words] = shell;
  const { status, stdout, stderr } = spawnSync(program, [...words, "-s"], { input: text, encoding: "utf8" });
  if (status !== 0 || stderr !== "") throw new Error(`${shell.join(" ")}: exit ${status}: ${stderr}`);
  return stdout;
}

/** A single-quoted word. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
