import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { RestoreStagesRequest } from "../../../../../provider/distributions/distribution";
import type { EmbeddedFacts } from "../../../../../provider/distributions/embedded-etcd/facts";
import { rememberFiles } from "../../../../../provider/distributions/embedded-etcd/restore/restore-data";
import { restorePlaces } from "../../../../../provider/distributions/embedded-etcd/restore/restore-places";
import { settle } from "../../../../../provider/distributions/embedded-etcd/restore/settle";
import type { Members } from "../../../../../provider/distributions/members";
import { embeddedFacts } from "../../../../support/embedded-facts";
import { type FakeSystemctl, fakeSystemctl } from "../../../../support/fake-systemctl";
import { listeningPorts } from "../../../../support/listening-ports";
import { type ScriptHost, scriptHost } from "../../../../support/script-host";

let host: ScriptHost;
let systemctl: FakeSystemctl;
let facts: EmbeddedFacts;
beforeEach(async () => {
  host = scriptHost("s2");
  listeningPorts(host);
  systemctl = fakeSystemctl(host);
  facts = embeddedFacts({ server: "s2", dataDir: join(host.root, `it's "my" k3s`) });
  mkdirSync(dirname(db()), { recursive: true });
  writeFileSync(db(), "restored");
  await host.run(rememberFiles(facts, restorePlaces("prod", facts, "a1")));
});
afterEach(() => host.remove());

const started = "start --no-block k3s.service";

test("forward at once where a quorum answers: nothing is stopped", async () => {
  expect(await settled(true)).toBe("forward");
  expect(systemctl.told()).toEqual([]);
});

test("back when the restored server has changed no file; it is stopped, and stays so", async () => {
  expect(await settled(false)).toBe("back");
  expect(systemctl.told()).toEqual(["daemon-reload", "stop k3s.service"]);
});

test.each<[string, () => void]>([
  ["has written", () => writeFileSync(db(), "more")],
  ["has made another file", () => writeFileSync(`${db()}.tmp`, "")],
  ["has no data any more", () => rmSync(dirname(db()), { recursive: true })],
  ["was never looked at before its start", () => rmSync(inState("files"))],
  ["was looked at by half", () => writeFileSync(inState("files"), "")],
  [
    "has no data, and had none",
    () => (writeFileSync(inState("files"), ""), rmSync(dirname(db()), { recursive: true })),
  ],
])("forward when it %s: it is started again", async (_, change) => {
  change();
  expect(await settled(false)).toBe("forward");
  expect(systemctl.told().slice(-1)).toEqual([started]);
});

test("what cannot be stopped is not called settled", async () => {
  listeningPorts(host, 2379);
  host.stub("sleep", "");
  await expect(settled(false)).rejects.toMatchObject({ stderr: expect.stringContaining("still listens") as string });
});

/** The server that was reset is the second: the first has joined it once. */
function settled(quorum: boolean): Promise<"forward" | "back"> {
  const peer = embeddedFacts({ server: "s1", args: ["--server", "https://10.0.0.12:6443"] });
  const request = {
    ...{ cluster: { distribution: "k3s", name: "prod", servers: [] }, attempt: "a1" },
    members: { hasQuorum: () => Promise.resolve(quorum) } as unknown as Members,
  } as unknown as RestoreStagesRequest;
  return settle([peer, facts], request, new Map([["s2", host]]));
}

function db(): string {
  return join(facts.dataDir, "server/db/etcd/member/snap/db");
}

function inState(name: string): string {
  return join(host.root, "state/prod/restore-a1", name);
}
