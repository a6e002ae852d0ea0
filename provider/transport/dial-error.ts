import { isNativeError } from "node:util/types";
import { BackupError, type ErrorCode } from "../errors";

/** Why a server was not reached: a BackupError that does not know yet which server asked. */
export class DialError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;

  constructor(code: ErrorCode, what: string, details: { readonly hint?: string; readonly cause?: unknown } = {}) {
    super(what, { cause: details.cause });
    this.name = "DialError";
    this.code = code;
    this.hint = details.hint;
  }

  /** The same failure, said of the bastion in front of the server. */
  ofBastion(address: string): DialError {
    const hint = this.hint === undefined ? {} : { hint: this.hint };
    return new DialError(this.code, `the bastion ${address}: ${this.message}`, { ...hint, cause: this });
  }

  toBackupError(host: string): BackupError {
    return new BackupError(this.code, this.message, { host, hint: this.hint, cause: this.cause });
  }
}

/** What an error says; also one of Node's own, seen from inside a sandbox where it is no `Error`. */
export function messageOf(error: unknown): string {
  return isNativeError(error) ? error.message : String(error);
}
