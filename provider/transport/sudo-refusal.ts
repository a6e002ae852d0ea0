import { BackupError } from "../errors";

/** Says why sudo did not let us in; `said` is what it wrote. */
export function sudoRefusal(host: string, what: string, said: string): BackupError {
  if (/incorrect password/.test(said)) return wrongSudoPassword(host);
  const last = said.trim().split("\n").at(-1)?.trim() ?? "";
  const hint = /a password is required/.test(said)
    ? "Give connection.sudoPassword, or allow this user sudo without password (NOPASSWD)."
    : "Connect as root, or as a user whom sudo allows everything.";
  const message = `${what}${last === "" ? "" : `: ${last}`}`;
  return /you must have a tty/.test(said)
    ? new TerminalRequired(message, host)
    : new BackupError("SUDO_REFUSED", message, { host, hint });
}

export function wrongSudoPassword(host: string): BackupError {
  return new BackupError("SUDO_REFUSED", "wrong sudo password", { host, hint: "Correct connection.sudoPassword." });
}

/** sudo wants a terminal (`requiretty`). Nothing was started. */
export class TerminalRequired extends BackupError {
  constructor(what: string, host: string) {
    super("SUDO_REFUSED", what, { host, hint: "Remove requiretty from sudoers for this user, or connect as root." });
    this.name = "TerminalRequired";
  }
}
