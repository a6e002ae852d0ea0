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

/** Resolves when the API server on the first server answers that it is ready. */
export async function awaitApi(host: HostReader, facts: KubectlFacts, deadlineMs: number): Promise<void> {
  const look = sh`timeout 10 ${kubectl(facts)} get --raw /readyz 2>&1 | head -c 300; :`;
  await waitFor(
    `${facts.server}: the API server is ready`,
    async () => {
      const said = (await host.query(look)).stdout.trim();
      return said === "ok" || (said.split("\n").at(-1) ?? "");
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

/** Deletes the Node objects of etcd servers that the restored data remembers and that are not there any more. */
export async function forgetStaleNodes(host: Host, facts: KubectlFacts, present: readonly string[]): Promise<void> {
  const stale = (await etcdNodes(host, facts)).filter((node) => !present.includes(node));
  if (stale.length === 0) return;
  await host.run(sh`timeout 100 ${kubectl(facts)} delete node --ignore-not-found ${stale}`, { timeoutMs: 120_000 });
}

async function etcdNodes(host: HostReader, facts: KubectlFacts): Promise<readonly string[]> {
  const label = "node-role.kubernetes.io/etcd=true";
  const { stdout } = await host.query(sh`timeout 30 ${kubectl(facts)} get nodes --selector ${label} --output name`);
  return stdout.split("\n").flatMap((line) => /^node\/(.+)$/.exec(line.trim())?.slice(1) ?? []);
}
