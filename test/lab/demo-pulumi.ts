import { say } from "./demo-story";
import type { PulumiProject } from "./pulumi";

export async function configure(project: PulumiProject, values: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, value] of Object.entries(values)) {
    await pulumi(project, "config", "set", ...name.split(" "), "--", value);
  }
}

const told = new Set<string>();

/** Runs pulumi, shows what it prints when it is worth reading, and fails with it otherwise. */
export async function pulumi(project: PulumiProject, ...words: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await project.run(words);
  if (["up", "preview"].includes(words[0] ?? "")) {
    say(`\n$ pulumi ${words.join(" ")}`);
    for (const line of worthReading(stdout)) say(`  ${line}`);
  }
  if (code !== 0) throw new Error(`pulumi ${words[0] ?? ""} ended with ${code}:\n${stdout}\n${stderr}`);
  return stdout;
}

/**
 * Of what pulumi prints without a terminal: each step of a restore once, and the end, which says all that stays. The rest
 * is the same said as it happened, what the preview said already, and where the engine found the lab's equipment.
 */
function worthReading(stdout: string): readonly string[] {
  const lines = stdout
    .split("\n")
    .filter((line) => line.trim() !== "" && !/from \$PATH at|^ *pulumi:pulumi:Stack/.test(line));
  const said = lines.findIndex((line) => /^(Diagnostics|Outputs|Resources):/.test(line));
  const end = lines.findIndex((line) => /^(Outputs|Resources):/.test(line));
  const steps = lines.slice(0, said).flatMap((line) => /step \d+\/\d+: .*/.exec(line)?.[0] ?? []);
  return [...new Set(steps), ...news(lines.slice(said, end)), ...lines.slice(end)];
}

/** What a resource says of itself and has not said before, below its name; nothing where there is none. */
function news(diagnostics: readonly string[]): readonly string[] {
  const isText = (line: string | undefined): boolean => /^ {4}/.test(line ?? "");
  const fresh = diagnostics.filter((line) => !isText(line) || !told.has(line));
  for (const line of fresh) told.add(line);
  return fresh.some(isText) ? fresh : [];
}
