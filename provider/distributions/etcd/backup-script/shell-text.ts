/** Shell as it is written. A template cannot hold the shell's own dollar-brace in plain sight, so that one is escaped. */
export function shellText(parts: TemplateStringsArray): string {
  return (parts.raw[0] ?? "").replaceAll("$\\{", "${");
}
