import { omit } from "./fields";
import type { Cluster, S3Settings } from "../model";

interface StoreInputs {
  readonly cluster: Cluster;
  readonly s3?: S3Settings;
}

/**
 * Inputs whose store is where one snapshot is put or found: the folder filled in, and without what only concerns
 * scheduled ones, so that a `BackupConfig`'s store can be shared.
 */
export function withoutKeeping<Inputs extends StoreInputs>(inputs: Inputs): Inputs {
  const completed = withFolder(inputs);
  if (typeof completed.s3 !== "object") return completed;
  return { ...completed, s3: omit(completed.s3, "retention", "keepRounds", "configSecret") };
}

/** Inputs with the store's folder: the cluster's name where none is given. */
export function withFolder<Inputs extends StoreInputs>(inputs: Inputs): Inputs {
  const { s3, cluster } = inputs;
  if (typeof s3 !== "object" || s3.folder !== undefined || typeof cluster !== "object") return inputs;
  return { ...inputs, s3: { ...s3, folder: cluster.name } };
}
