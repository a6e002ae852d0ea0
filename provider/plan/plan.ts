import type { Host } from "../transport/host";

/** A plan is a list of stages. The steps of a stage run in parallel, each on its server; undo goes stage by stage, backwards. */
export interface Plan {
  /** What this plan is about, stable across attempts: a second plan with the same identity resumes the first. */
  readonly identity: string;
  readonly title: string;
  readonly stages: readonly Stage[];
}

export type Stage = readonly Step[];

/** One thing an apply will do on one server. */
export interface Step {
  /** Depends on server and action only; what the journal records. */
  readonly id: string;
  readonly title: string;
  readonly server: string;
  /**
   * Makes one changing call (`run` or `writeFile`), looking as often as it likes before it; a gate makes none.
   * Journal lines are written by the script of that call. Safe to repeat.
   */
  run(host: Host): Promise<void>;
  /** Puts back what `run` changed, in whole or in part or not at all; one changing call. Used until the point of no return. */
  undo?(host: Host): Promise<void>;
  /** `crossing`: from here on the cluster may have taken writes. `crossed`: once done, there is only forward. */
  readonly pointOfNoReturn?: "crossing" | "crossed";
}
