import type { Stage, Step } from "../../../plan/plan";
import { named } from "../../../plan/wrapped-host";
import type { Host } from "../../../transport/host";
import { type Command, script, sh } from "../../../transport/shell";
import type { RestoreStagesRequest } from "../../distribution";
import { startAsBefore, startFreed, stopHeld } from "../../held-unit";
import { awaitApi, forgetNodePasswords, forgetStaleNodes, type KubectlFacts } from "../kubernetes";
import type { EmbeddedFacts } from "../facts";
import { joinServer } from "./join";
import { endReset, killContainers, runReset } from "./reset";
import {
  keepIdentity,
  moveIdentityBack,
  putDataBack,
  putIdentityBack,
  rememberFiles,
  setDataAside,
  setIdentityAside,
} from "./restore-data";
import { firstServer, type RestorePlaces, restorePlaces } from "./restore-places";
import { saveSafetySnapshot } from "./safety-snapshot";
import { stageSnapshot } from "./stage-snapshot";
import { hashToken } from "../token";

const MINUTES = 60_000;

/**
 * The stages that bring the servers back to a snapshot: all stop, the first is reset to it, serves, and the others join
 * it one by one, as the distributions' own documentation has it, without what it deletes.
 */
export function restoreStages(servers: readonly EmbeddedFacts[], request: RestoreStagesRequest): readonly Stage[] {
  const first = firstServer(servers);
  if (first === undefined) return [];
  const peers = servers.filter((facts) => facts !== first);
  const { cluster, attempt, members, token } = request;
  const placesOf = (facts: EmbeddedFacts): RestorePlaces => restorePlaces(cluster.name, facts, attempt);
  const step = (
    facts: EmbeddedFacts,
    action: string,
    title: string,
    build: (places: RestorePlaces) => Omit<Step, "id" | "title" | "server">,
  ): Step => {
    const built = build(placesOf(facts));
    return {
      ...{ id: `${facts.server}:${action}`, title, server: facts.server },
      ...{ ...built, run: (host) => built.run(named(title, host)) },
    };
  };
  const gate = (
    id: string,
    title: string,
    run: (host: Host) => Promise<void>,
    more: Pick<Step, "pointOfNoReturn"> = {},
  ): Step => ({ id, title, server: first.server, run, gate: true, ...more });
  const change =
    (command: Command, timeoutMs?: number) =>
    async (host: Host): Promise<void> => {
      await host.run(command, { timeoutMs });
    };
  const kubectl: KubectlFacts = first;
  const newMachines = peers.filter((facts) => !facts.hasNodePassword);
  const stages: Stage[] = [
    [
      step(first, "stage", "stage the snapshot and check it", (places) => ({
        run: (host) => stageSnapshot(host, first, places, request, token),
        undo: change(sh`rm -rf ${places.work}`),
      })),
    ],
    servers
      .filter(({ server }) => server === request.safety[0])
      .map((facts) =>
        step(facts, "safety-snapshot", "save the present data", () => ({
          run: (host) => saveSafetySnapshot(host, facts, request),
        })),
      ),
    servers.map((facts) =>
      step(facts, "stop", `stop ${facts.program.title}`, (places) => ({
        run: change(stopHeld(facts.unit, places.work, [2379, 2380], killContainers(facts)), 5 * MINUTES),
        undo: change(
          script(startAsBefore(facts.unit, places.work), facts === first ? script() : sh`rm -rf ${places.work}`),
          3 * MINUTES,
        ),
      })),
    ),
    servers.map((facts) =>
      step(facts, "set-aside", "set the old data aside; snapshots stay where they are", (places) => ({
        run: change(
          script(
            facts === first
              ? keepIdentity(facts, places)
              : hasOtherToken(facts, token)
                ? setIdentityAside(facts, places)
                : script(),
            setDataAside(facts, places),
          ),
        ),
        // Data first: a disk that the reset has filled has no room for anything else.
        undo: change(
          script(
            putDataBack(facts, places),
            facts === first ? putIdentityBack(facts, places) : moveIdentityBack(facts, places),
          ),
        ),
      })),
    ),
    [
      step(first, "reset", `restore with ${first.program.name} server --cluster-reset`, (places) => ({
        run: (host) => runReset(host, first, places, token, request.patienceMs(30 * MINUTES)),
        undo: change(endReset(first, places), 5 * MINUTES),
      })),
    ],
    [
      step(first, "start", `start ${first.program.title}`, (places) => ({
        run: change(script(rememberFiles(first, places), startFreed(first.unit))),
        undo: change(stopHeld(first.unit, places.work, [2379, 2380], killContainers(first)), 5 * MINUTES),
        pointOfNoReturn: "crossing",
      })),
    ],
    [
      gate(
        "cluster:serve",
        "wait until the restored cluster serves",
        () => members.waitForQuorum(request.patienceMs()),
        {
          pointOfNoReturn: "crossed",
        },
      ),
    ],
    [
      gate("cluster:api", "wait until the API server is ready", (host) =>
        awaitApi(host, kubectl, request.patienceMs()),
      ),
    ],
    newMachines.length === 0
      ? []
      : [
          step(first, "node-passwords", "forget the node passwords of machines that are new", () => ({
            run: change(
              forgetNodePasswords(
                kubectl,
                newMachines.map(({ nodeName }) => nodeName),
              ),
              2 * MINUTES,
            ),
          })),
        ],
    ...peers.flatMap((facts): Stage[] => [
      [
        step(facts, "rejoin", `join ${facts.server} to the restored cluster`, (places) => ({
          run: change(joinServer(facts, first, places, token)),
        })),
      ],
      [
        gate(`${facts.server}:voter`, `wait until ${facts.server} is a voter`, () =>
          members.waitForVoter(facts, request.patienceMs()),
        ),
      ],
    ]),
    // etcd joins before the rest of the server is there, and without it too.
    peers.map((facts) => ({
      ...gate(`${facts.server}:api`, "wait until the API server is ready", (host) =>
        awaitApi(host, facts, request.patienceMs()),
      ),
      server: facts.server,
    })),
    [
      gate("cluster:verify", "prove that all members are healthy and equal", async () => {
        request.proven(await members.waitForEqualMembers(servers, request.patienceMs()));
      }),
    ],
    [
      step(first, "stale-nodes", "delete the Nodes of etcd servers that are no more", () => ({
        run: (host) =>
          forgetStaleNodes(
            host,
            kubectl,
            servers.map(({ nodeName }) => nodeName),
          ),
      })),
    ],
  ];
  return stages.filter((stage) => stage.length > 0);
}

/** What a server has of another token would keep it from joining. */
function hasOtherToken(facts: EmbeddedFacts, token: string | undefined): boolean {
  return token !== undefined && facts.tokenHash !== undefined && hashToken(token) !== facts.tokenHash;
}
