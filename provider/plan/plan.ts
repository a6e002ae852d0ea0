import type { Host } from "../transport/host";

/** A plan is a list of stages. The steps of a stage run in parallel, each on its server; undo goes stage by stage, backwards. */
export interface Plan {
  /** What this plan is about, stable across attempts: a second plan with the same identity resumes the first. */
  readonly identity: string;
  readonly title: string;
  readonly stages: readonly Stage[];
  /**
   * Decides by looking, after a failure while crossing: `back` only when it is certain that nothing was written to the
   * restored cluster. May stop what was started.
   */
  settle(hosts: Hosts): Promise<"forward" | "back">;
  /** After everything was put back: rejects unless the cluster is as it was. */
  proveUntouched(hosts: Hosts): Promise<void>;
}

export type Stage = readonly Step[];

/** The servers of a plan by name, each as a host that can be changed. */
export type Hosts = ReadonlyMap<string, Host>;

/** One thing an apply will do on one server. */
export interface Step {
  /** Depends on server and action only; what the journal records. */
  readonly id: string;
  readonly title: string;
  readonly server: string;
  /** Safe to repeat, also after it was cut off half way. The journal's line is written by the script of its first change. */
  run(host: Host): Promise<void>;
  /** Puts back what `run` changed, in whole or in part or not at all. Used until the point of no return. */
  undo?(host: Host): Promise<void>;
  /** Changes nothing, only waits: an attempt that resumes waits again. */
  readonly gate?: true;
  /** `crossing`: once begun, the cluster may have taken writes. `crossed`: once done, there is only forward. */
  readonly pointOfNoReturn?: "crossing" | "crossed";
}
