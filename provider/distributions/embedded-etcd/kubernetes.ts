import { hasCode } from "../../errors";
import type { Host, HostReader } from "../../transport/host";
import { type Command, sh } from "../../transport/shell";
import { waitFor } from "../../transport/wait";
import type { EmbeddedFacts } from "./facts";

/** What is needed to ask the API server on a server. */
export type KubectlFacts = Pick<EmbeddedFacts, "program" | "binary" | "dataDir" | "server">;

/** The words that ask the API server, on this server. */
export function kubectl({ program, binary, dataDir }: KubectlFacts): readonly string[] {
  return program.kubectl(binary, dataDir);
}

/** Resolves when the API server of this server answers that it is ready. */
export async function awaitApi(host: HostReader, facts: KubectlFacts, deadlineMs: number): Promise<void> {
  const look = sh`timeout 10 ${kubectl(facts)} get --raw /readyz 2>&1 | head -c 300; :`;
  await waitFor(
    `${facts.server}: the API server is ready`,
    async () => {
      const said = (await host.query(look)).stdout.trim();
      const last = said.split("\n").at(-1) ?? "";
      return last === "ok" || last;
    },
    deadlineMs,
  );
}

/**
 * A restored cluster knows the passwords of the machines that were. A new machine with the name of an old one would be
 * refused; without the secret it is taken as it comes.
 */
export function forgetNodePasswords(facts: KubectlFacts, nodes: readonly string[]): Command {
  const secrets = nodes.map((node) => `${node}.node-password.${facts.program.name}`);
  return sh`timeout 60 ${kubectl(facts)} --namespace kube-system delete secret --ignore-not-found ${secrets}`;
}

/**
 * Deletes the Node objects of etcd servers that the restored data remembers and that are not there any more. None, while
 * a server that is there has no Node of its name: its Node may have another name, and with a Node goes its etcd member.
 */
export async function forgetStaleNodes(host: Host, facts: KubectlFacts, present: readonly string[]): Promise<void> {
  const look = async (): Promise<{ readonly stale: readonly string[]; readonly missing: readonly string[] }> => {
    const nodes = await etcdNodes(host, facts);
    return {
      stale: nodes.filter((node) => !present.some((name) => isNodeOf(node, name))),
      missing: present.filter((name) => !nodes.some((node) => isNodeOf(node, name))),
    };
  };
  if ((await look()).stale.length === 0) return;
  const isThere = async (): Promise<true | string> => {
    const { missing } = await look();
    return missing.length === 0 || `no Node ${missing.join(", ")}`;
  };
  const known = await waitFor("every server has its Node", isThere, NODES_MS).then(() => true, isUnhealthy);
  const { stale } = await look();
  if (!known || stale.length === 0) return;
  await host.run(sh`timeout 100 ${kubectl(facts)} delete node --ignore-not-found ${stale}`, { timeoutMs: 120_000 });
}

/** A machine that is new registers its Node seconds after its etcd is a member. */
const NODES_MS = 30_000;

function isUnhealthy(error: unknown): false {
  if (hasCode(error, "CLUSTER_UNHEALTHY")) return false;
  throw error;
}

/** With `with-node-id`, the name goes on with eight hex digits. */
function isNodeOf(node: string, name: string): boolean {
  return node === name || (node.startsWith(`${name}-`) && /^[0-9a-f]{8}$/.test(node.slice(name.length + 1)));
}

async function etcdNodes(host: HostReader, facts: KubectlFacts): Promise<readonly string[]> {
  const label = "node-role.kubernetes.io/etcd=true";
  const { stdout } = await host.query(sh`timeout 30 ${kubectl(facts)} get nodes --selector ${label} --output name`);
  return stdout.split("\n").flatMap((line) => /^node\/(.+)$/.exec(line.trim())?.slice(1) ?? []);
}
