/** Every reason this package can refuse or fail. Tests assert codes; wording is free to improve. */
export type ErrorCode =
  | "INVALID_INPUT"
  | "HOST_UNREACHABLE"
  | "AUTH_REJECTED"
  | "HOST_KEY_UNKNOWN"
  | "HOST_KEY_MISMATCH"
  | "SUDO_REFUSED"
  | "TUNNEL_REFUSED"
  | "COMMAND_FAILED"
  | "COMMAND_TIMED_OUT"
  | "NOT_ETCD"
  | "NOT_EMBEDDED_ETCD"
  | "MANAGED_ELSEWHERE"
  | "UNSUPPORTED_VERSION"
  | "UNSUPPORTED_SETUP"
  | "SETTING_NOT_FOUND"
  | "TOOL_MISSING"
  | "STORE_DENIED"
  | "STORE_UNREACHABLE"
  | "BUCKET_NOT_FOUND"
  | "SHARED_FOLDER"
  | "SNAPSHOT_NOT_FOUND"
  | "SNAPSHOT_CORRUPT"
  | "SNAPSHOT_FAILED"
  | "SNAPSHOT_FOREIGN"
  | "TOKEN_MISMATCH"
  | "MEMBER_LOST"
  | "NO_SPACE"
  | "CLUSTER_UNHEALTHY"
  | "LOCKED"
  | "LOCK_LOST"
  | "RESTORE_IN_PROGRESS"
  | "RESTORE_TO_NOW"
  | "RESTORE_ABANDONED"
  | "RESTORE_INTERRUPTED";

export interface ErrorDetails {
  /** The server it happened on. */
  readonly host?: string | undefined;
  /** What to do next: a sentence or a command. Shown on a line of its own. */
  readonly hint?: string | undefined;
  readonly cause?: unknown;
}

/** The one error of this package. Its message reads `server: what happened`, then the hint. */
export class BackupError extends Error {
  readonly code: ErrorCode;
  readonly host: string | undefined;
  readonly hint: string | undefined;

  constructor(code: ErrorCode, what: string, details: ErrorDetails = {}) {
    const where = details.host === undefined ? "" : `${details.host}: `;
    super(`${where}${what}${details.hint === undefined ? "" : `\n${details.hint}`}`, { cause: details.cause });
    this.name = "BackupError";
    this.code = code;
    this.host = details.host;
    this.hint = details.hint;
  }
}

/** A command that ran and did not exit 0. `stderr` is whole (bounded), the message shows its last line. */
export class CommandError extends BackupError {
  readonly exitCode: number | undefined;
  readonly stderr: string;

  constructor(
    what: string,
    details: ErrorDetails & { readonly exitCode: number | undefined; readonly stderr: string },
  ) {
    const last = details.stderr.trimEnd().split("\n").at(-1) ?? "";
    super(
      "COMMAND_FAILED",
      `${what}: exit ${details.exitCode ?? "by signal"}${last === "" ? "" : `: ${last}`}`,
      details,
    );
    this.name = "CommandError";
    this.exitCode = details.exitCode;
    this.stderr = details.stderr;
  }
}

export function hasCode(error: unknown, ...codes: ErrorCode[]): error is BackupError {
  return error instanceof BackupError && codes.includes(error.code);
}
