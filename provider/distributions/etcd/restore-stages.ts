import { BackupError } from "../../errors";
import type { Stage, Step } from "../../plan/plan";
import { named } from "../../plan/wrapped-host";
import { parseVerification, verifyScript } from "../../snapshot-file/verify-script";
import type { Host } from "../../transport/host";
import { type Command, sh } from "../../transport/shell";
import { API_SERVER_UNIT, type RestoreStagesRequest } from "../distribution";
import { startAsBefore } from "../held-unit";
import { attemptDirectory } from "../../plan/server-directory";
import type { EtcdFacts } from "./facts";
import { prepareData, removePrepared, swapBack, swapData } from "./restore-data";
import { type RestorePlaces, restorePlaces } from "./restore-places";
import {
  pauseBackups,
  resumeBackups,
  startApiServer,
  startMember,
  stopApiServer,
  stopMember,
} from "./restore-services";
import { saveSafetySnapshot } from "./save-snapshot";

const MINUTES = 60_000;

/** The stages, in order, that bring the servers back to a snapshot. */
export function restoreStages(servers: readonly EtcdFacts[], request: RestoreStagesRequest): readonly Stage[] {
  const { cluster, attempt, members } = request;
  const beyondRevision = bumps(servers, request) ? request.highestRevision : undefined;
  const initialCluster = servers
    .flatMap(({ member }) => member.peerUrls.map((url) => `${member.name}=${url}`))
    .join(",");
  const each = (
    action: string,
    title: string,
    build: (facts: EtcdFacts, places: RestorePlaces) => Omit<Step, "id" | "title" | "server">,
  ): Stage =>
    servers.map((facts) => ({
      id: `${facts.server}:${action}`,
      title,
      server: facts.server,
      ...calledAfter(title, build(facts, restorePlaces(cluster.name, facts, attempt))),
    }));
  const change =
    (command: Command, timeoutMs?: number) =>
    async (host: Host): Promise<void> => {
      await host.run(command, { timeoutMs });
    };
  const apiServers = (
    action: string,
    title: string,
    build: (unit: string, work: string) => Omit<Step, "id" | "title" | "server">,
  ): Stage =>
    (cluster.apiServers ?? []).map(({ name, unit = API_SERVER_UNIT }) => ({
      id: `${name}:${action}`,
      title,
      server: name,
      ...calledAfter(title, build(unit, attemptDirectory(cluster.name, attempt))),
    }));
  const [first] = servers;
  const stages: Stage[] = [
    each("pause-backups", "pause the scheduled backups", (_, places) => ({
      run: change(pauseBackups(cluster.name, places), 2 * MINUTES),
      // What the attempt remembered on this server goes with its last undo.
      undo: async (host) => {
        await host.run(resumeBackups(cluster.name, places));
        await host.run(sh`rm -rf ${places.work}`);
      },
    })),
    each("stage", "stage the snapshot and check it", (facts, places) => ({
      run: (host) => stage(host, facts.server, places, request),
      undo: change(sh`rm -f ${places.staged}`),
    })),
    each("safety-snapshot", "save the present data", (facts) => ({
      run: async (host) => {
        if (request.safety.includes(facts.server)) await saveSafetySnapshot(host, facts, cluster, members, attempt);
      },
    })).filter((step) => request.safety.includes(step.server)),
    each("prepare", "restore into a new data directory beside the old one", (facts, places) => ({
      run: change(prepareData(facts, places, initialCluster, `etcd-backup-${attempt}`, beyondRevision), 30 * MINUTES),
      undo: change(removePrepared(places)),
    })),
    apiServers("stop-api-server", "stop the API servers", (unit, work) => ({
      run: change(stopApiServer(unit, work), 3 * MINUTES),
      undo: change(startApiServer(unit, work), 3 * MINUTES),
    })),
    each("stop", "stop etcd", (facts, places) => ({
      run: change(stopMember(facts, places), 3 * MINUTES),
      undo: change(startAsBefore(facts.unit, places.work), 3 * MINUTES),
    })),
    each("swap", "set the old data aside and put the restored data in its place", (facts, places) => ({
      run: change(swapData(facts, places)),
      undo: change(swapBack(facts, places)),
    })),
    each("start", "start etcd", (facts, places) => ({
      run: change(startMember(facts, places)),
      undo: change(stopMember(facts, places), 3 * MINUTES),
      pointOfNoReturn: "crossing" as const,
    })),
    first === undefined
      ? []
      : [
          {
            id: "cluster:serve",
            title: "wait until the restored cluster serves",
            server: first.server,
            run: () => members.waitForQuorum(request.patienceMs()),
            gate: true as const,
            pointOfNoReturn: "crossed" as const,
          },
        ],
    first === undefined
      ? []
      : [
          {
            id: "cluster:verify",
            title: "prove that all members are healthy and equal",
            server: first.server,
            run: async () => request.proven(await members.waitForEqualMembers(servers, request.patienceMs())),
            gate: true as const,
          },
        ],
    apiServers("start-api-server", "start the API servers", (unit, work) => ({
      run: change(startApiServer(unit, work), 3 * MINUTES),
    })),
  ];
  return stages.filter((stage) => stage.length > 0);
}

/** All members or none: they would differ. */
export function bumps(servers: readonly EtcdFacts[], request: RestoreStagesRequest): boolean {
  return request.bumpRevision && servers.every((facts) => facts.canBumpRevision);
}

function calledAfter<S extends Pick<Step, "run">>(title: string, step: S): S {
  return { ...step, run: (host: Host) => step.run(named(title, host)) };
}

async function stage(host: Host, server: string, places: RestorePlaces, request: RestoreStagesRequest): Promise<void> {
  await host.run(sh`umask 077; mkdir -p ${places.work}`);
  const look = async (): Promise<ReturnType<typeof parseVerification>> =>
    parseVerification((await host.query(verifyScript(places.staged), { timeoutMs: 10 * MINUTES })).stdout);
  if ((await look()).kind === "sound") return;
  await request.fetch(server, places.staged);
  const found = await look();
  if (found.kind === "sound") return;
  throw new BackupError(
    "SNAPSHOT_CORRUPT",
    `the snapshot is not whole: ${found.kind === "corrupt" ? found.reason : "it is not there"}`,
    {
      host: server,
      hint: "Name another snapshot. etcd was not touched.",
    },
  );
}
