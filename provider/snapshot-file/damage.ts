import { BackupError } from "../errors";
import type { ByteSource } from "./byte-source";

/** What kind of thing is wrong with a file, for programs. */
export type Fault =
  /** It is empty, cut off, or has no trailer. */
  | "size"
  /** The SHA-256 trailer does not match. */
  | "trailer"
  /** A page that says where everything begins. */
  | "meta"
  /** A page is not what refers to it takes it for, or lies outside. */
  | "page"
  /** What a page says it holds does not fit what it holds. */
  | "elements"
  /** A page is longer or shorter than what it holds. */
  | "overflow"
  /** Keys do not ascend. */
  | "order"
  /** Two places refer to one page. */
  | "shared page"
  /** The list of free pages. */
  | "freelist"
  /** A page is in use and in the list of free ones. */
  | "free page in use"
  /** A page is neither. */
  | "lost page"
  | "bucket"
  /** The database is whole, but not as etcd writes it. */
  | "records";

/** Thrown inside this folder where a file is not what it has to be. */
export class Damage extends Error {
  readonly fault: Fault;

  constructor(fault: Fault, reason: string) {
    super(reason);
    this.name = "Damage";
    this.fault = fault;
  }
}

/** Runs `work`; damage that it meets becomes SNAPSHOT_CORRUPT. */
export async function refusingDamage<T>(source: ByteSource, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof Damage)) throw error;
    throw new BackupError("SNAPSHOT_CORRUPT", `${source.title} is not a whole snapshot: ${error.message}`, {
      host: source.host,
      hint: "Name another snapshot, or take a new one.",
    });
  }
}
