import type { HostReader } from "../../../transport/host";
import { sh } from "../../../transport/shell";
import { parseParts } from "../../parts";
import type { EmbeddedFacts } from "../facts";
import { kubectl } from "../kubernetes";
import { supports } from "../versions";

/** What the API server on a server says about backups. Undefined where it did not answer in time, or was not asked. */
export interface KubernetesLook {
  /** The Secret as JSON, `{}` when there is none. */
  readonly secret: string | undefined;
  /** The list of snapshots as JSON. */
  readonly snapshots: string | undefined;
  /** False for a directory that is declared and is not there. */
  readonly hasDirectory: boolean;
}

/** Asks in one round trip; in none where there is nothing to ask. An API server that is down fails nothing. */
export async function askKubernetes(
  host: HostReader,
  facts: EmbeddedFacts,
  { secret, directory }: { readonly secret: string | undefined; readonly directory: string | undefined },
): Promise<KubernetesLook> {
  const asksSnapshots = facts.unitActive && supports(facts.version, "snapshot-crd");
  const asksSecret = facts.unitActive && secret !== undefined;
  if (!asksSnapshots && !asksSecret && directory === undefined) {
    return { secret: undefined, snapshots: undefined, hasDirectory: true };
  }
  const ask = sh`timeout 15 ${kubectl(facts)} --request-timeout=10s`;
  const { stdout } = await host.query(sh`part() { printf '\n%s %s\n' ${MARK} "$1"; }
show() { out=$("$@" 2>/dev/null) || return 0; part "$name"; printf '%s\n' "\${out:-{\}}"; }
[ -d ${directory ?? "/"} ] || part no-directory
${asksSecret ? sh`name=secret; show ${ask} --namespace kube-system get secret ${secret} --ignore-not-found -o json` : sh``}
${asksSnapshots ? sh`name=snapshots; show ${ask} get etcdsnapshotfile -o json` : sh``}
part end`);
  const parts = parseParts(stdout, MARK);
  return {
    ...{ secret: parts.get("secret"), snapshots: parts.get("snapshots") },
    hasDirectory: !parts.has("no-directory"),
  };
}

const MARK = "=kubernetes";
