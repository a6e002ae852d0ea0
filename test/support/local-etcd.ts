import { execFile, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { type EtcdVersion, readEquipment } from "../lab/equipment";
import { freePort } from "./s3-gateway";

const run = promisify(execFile);

/** A real etcd of one member on this machine, without TLS. */
export interface LocalEtcd {
  readonly endpoint: string;
  readonly etcdctl: string;
  /** Runs etcdctl on it. */
  ctl(...words: readonly string[]): Promise<string>;
  /** Starts a second member, a learner, and gives its endpoint. */
  addLearner(): Promise<string>;
  stop(): Promise<void>;
}

export async function startLocalEtcd(version: EtcdVersion = "3.6"): Promise<LocalEtcd> {
  const directory = await mkdtemp(join(tmpdir(), "local-etcd-"));
  const tools = readEquipment().etcd[version];
  const etcdctl = join(tools, "etcdctl");
  const [client, peer] = [await freePort(), await freePort()];
  const endpoint = `http://127.0.0.1:${client}`;
  const members = [`one=http://127.0.0.1:${peer}`];
  const ended: Promise<unknown>[] = [];
  const stops: (() => void)[] = [];

  const startMember = (name: string, clientUrl: string, peerUrl: string, state: string): void => {
    const member = spawn(
      join(tools, "etcd"),
      [
        ...["--name", name, "--data-dir", join(directory, name), "--initial-cluster-state", state],
        ...["--listen-client-urls", clientUrl, "--advertise-client-urls", clientUrl],
        ...["--listen-peer-urls", peerUrl, "--initial-advertise-peer-urls", peerUrl],
        ...["--initial-cluster", members.join(",")],
      ],
      { env: {}, stdio: "ignore" },
    );
    ended.push(new Promise((resolve) => member.on("close", resolve).on("error", resolve)));
    stops.push(() => member.kill());
  };
  const ctl = async (...words: readonly string[]): Promise<string> => {
    const { stdout } = await run(etcdctl, ["--endpoints", endpoint, ...words], { env: { ETCDCTL_API: "3" } });
    return stdout;
  };

  startMember("one", endpoint, `http://127.0.0.1:${peer}`, "new");
  await untilTrue(`etcd ${version} is healthy`, () => ctl("endpoint", "health"));
  return {
    endpoint,
    etcdctl,
    ctl,
    async addLearner() {
      const [url, peerUrl] = [`http://127.0.0.1:${await freePort()}`, `http://127.0.0.1:${await freePort()}`];
      await ctl("member", "add", "two", "--learner", `--peer-urls=${peerUrl}`);
      members.push(`two=${peerUrl}`);
      startMember("two", url, peerUrl, "existing");
      await untilTrue("the learner answers", () =>
        run(etcdctl, ["--endpoints", url, "endpoint", "status"], { env: { ETCDCTL_API: "3" } }),
      );
      return url;
    },
    async stop() {
      for (const stop of stops) stop();
      await Promise.all(ended);
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Asks again and again until it does not reject, for half a minute. */
export async function untilTrue(what: string, ask: () => Promise<unknown>): Promise<void> {
  const deadline = Date.now() + 30_000;
  for (;;) {
    try {
      await ask();
      return;
    } catch (error) {
      if (Date.now() > deadline) throw new Error(`${what}: not after 30 s`, { cause: error });
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
