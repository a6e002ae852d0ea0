import { CommandError } from "../../../errors";
import type { HostReader } from "../../../transport/host";
import { sh } from "../../../transport/shell";
import type { SnapshotFile } from "../../../model";
import type { ObjectOwner } from "../../distribution";
import type { EmbeddedFacts } from "../facts";
import { kubectl } from "../kubernetes";
import type { Program } from "../program";
import { supports } from "../versions";

/** Of ours: the distributions do not say by which etcd a snapshot was taken. */
export const ETCD_VERSION = "etcd-version";

/**
 * What the distribution writes on its objects in S3: which cluster they are of (the UID of kube-system), which server
 * took them, and which token they need. What cannot be told now is left out.
 */
export async function objectMetadata(
  host: HostReader,
  facts: EmbeddedFacts,
): Promise<Readonly<Record<string, string>>> {
  const { name } = facts.program;
  const cluster = await clusterId(host, facts);
  return {
    ...(cluster === undefined ? {} : { [`${name}-cluster-id`]: cluster }),
    [`${name}-node-name`]: facts.nodeName,
    ...(facts.tokenHash === undefined ? {} : { [`${name}-token-hash`]: facts.tokenHash }),
    ...(facts.etcdVersion === "unknown" ? {} : { [ETCD_VERSION]: facts.etcdVersion }),
  };
}

/** The UID of kube-system, which a cluster keeps for life, and through a restore. */
export async function clusterId(host: HostReader, facts: EmbeddedFacts): Promise<string | undefined> {
  const uid = await ask(host, facts, ["get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}"]);
  return uid?.trim() || undefined;
}

/** What the metadata of an object says of its cluster. */
export function objectOwner(program: Program, { metadata }: SnapshotFile): ObjectOwner | undefined {
  const id = metadata?.[`${program.name}-cluster-id`];
  return id === undefined ? undefined : { clusterId: id, server: metadata?.[`${program.name}-node-name`] };
}

/** Why the distribution's upload of a snapshot failed, by the object it keeps of it; undefined when that cannot be told. */
export async function uploadError(
  host: HostReader,
  facts: EmbeddedFacts,
  snapshot: string,
): Promise<string | undefined> {
  if (!supports(facts.version, "snapshot-crd")) return undefined;
  const answer = await ask(host, facts, ["get", "etcdsnapshotfile", "-o", "json"]);
  const ofS3 = itemsIn(answer ?? "").find(({ spec }) => spec?.snapshotName === snapshot && spec.nodeName === "s3");
  return ofS3?.status?.error?.message;
}

function itemsIn(answer: string): readonly SnapshotObject[] {
  try {
    return (JSON.parse(answer) as { items?: readonly SnapshotObject[] }).items ?? [];
  } catch {
    return [];
  }
}

interface SnapshotObject {
  readonly spec?: { readonly snapshotName?: string; readonly nodeName?: string };
  readonly status?: { readonly error?: { readonly message?: string } };
}

/** Undefined when the API server does not answer: a snapshot can be taken all the same. */
async function ask(host: HostReader, facts: EmbeddedFacts, words: readonly string[]): Promise<string | undefined> {
  try {
    return (await host.query(sh`timeout 30 ${kubectl(facts)} ${words}`)).stdout.trim();
  } catch (error) {
    if (error instanceof CommandError) return undefined;
    throw error;
  }
}
