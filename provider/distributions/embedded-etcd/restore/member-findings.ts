import type { EtcdListedMember } from "../../../transport/etcd";
import type { Finding, RestoreLook } from "../../distribution";
import type { EmbeddedFacts } from "../facts";

/** While a quorum is alive, one lost member is replaced; and a member that nobody listed would be split from the rest. */
export async function memberFindings(look: RestoreLook<EmbeddedFacts>): Promise<Finding[]> {
  if (!look.quorum) return [];
  const listed = await listMembers(look);
  if (listed !== undefined) return [...lostMembers(look), ...unlistedMembers(look, listed)];
  const text = "etcd's members could not be listed: one that is not in `servers` would go on with the old data";
  return [...lostMembers(look), { code: "MEMBER_LOST", text, mayAccept: true }];
}

function lostMembers({ servers, status }: RestoreLook<EmbeddedFacts>): Finding[] {
  const lost = servers.filter((facts) => status.get(facts.server) === undefined);
  const alive = servers.find((facts) => status.get(facts.server) !== undefined);
  return lost.map((facts) => {
    const { name, title } = facts.program;
    const kubectl = alive === undefined ? "kubectl" : facts.program.kubectl(alive.binary, alive.dataDir).join(" ");
    const text = [
      `${facts.server}: its member does not answer, while the others have a quorum: nothing has to be restored. Replace it:`,
      `  on ${alive?.server ?? "a living server"}: ${kubectl} delete node ${facts.nodeName}`,
      `  on ${facts.server}: systemctl stop ${facts.unit}${facts.program.needsKillScript ? `; ${name}-killall.sh` : ""}`,
      `  on ${facts.server}: mv ${facts.dataDir}/server/db/etcd ${facts.dataDir}/server/db/etcd.lost`,
      `  on ${facts.server}: systemctl start --no-block ${facts.unit}, with \`server: https://${alive?.address ?? "<a living server>"}:${facts.supervisorPort}\` in ${facts.configFile}; ${title} joins again`,
    ].join("\n");
    return { code: "MEMBER_LOST", text, mayAccept: true };
  });
}

function unlistedMembers({ servers }: RestoreLook<EmbeddedFacts>, listed: readonly EtcdListedMember[]): Finding[] {
  const hostOf = (url: string): string => /\/\/(.+):\d+$/.exec(url)?.[1] ?? url;
  const known = new Set(servers.flatMap((facts) => [...facts.member.peerUrls.map(hostOf), facts.address]));
  const names = new Set(servers.map((facts) => facts.member.name));
  return listed
    .filter(({ name, peerUrls }) => !names.has(name) && !peerUrls.map(hostOf).some((host) => known.has(host)))
    .map(({ name, peerUrls }) => ({
      ...{ code: "MEMBER_LOST", mayAccept: true },
      text: `etcd has a member ${name} (${peerUrls.join(", ")}) that is not in \`servers\`: list its server, or remove the member first; left running, it would go on with the old data`,
    }));
}

/** Asked of one living member after the other; undefined when none answers. */
async function listMembers({
  servers,
  status,
  members,
}: RestoreLook<EmbeddedFacts>): Promise<readonly EtcdListedMember[] | undefined> {
  for (const facts of servers.filter(({ server }) => status.get(server) !== undefined)) {
    const listed = await members.use(facts, (member) => member.members()).catch(() => undefined);
    if (listed !== undefined) return listed;
  }
  return undefined;
}
