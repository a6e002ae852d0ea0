import { BackupError } from "../errors";

/** The name of a snapshot as it was given, once it is certain that it is a file name and nothing else. */
export function checkedName(name: string): string {
  // eslint-disable-next-line no-control-regex -- a line break in a name would end a line of a script's answer
  if (name === "" || name === "." || name === ".." || /[/\u0000-\u001f\u007f]/.test(name)) {
    throw new BackupError("INVALID_INPUT", `${JSON.stringify(name)} is not the name of a snapshot`, {
      hint: "Give a file name without a folder.",
    });
  }
  return name;
}

/** Whether a name says that its file is still being written, by a distribution or by us. */
export function isUnfinished(name: string): boolean {
  return /\.(part|saving)$/.test(name);
}

/** The sentence that ends a SNAPSHOT_NOT_FOUND: which names there are. */
export function namesThere(names: readonly string[]): string {
  const shown = names.slice(0, 10).join(", ");
  return `It has ${shown === "" ? "none" : shown}${names.length > 10 ? ` and ${names.length - 10} more` : ""}.`;
}
