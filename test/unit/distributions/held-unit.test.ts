import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  startAsBefore,
  startDependants,
  startFreed,
  startHeld,
  stopHeld,
} from "../../../provider/distributions/held-unit";
import { type Command, sh } from "../../../provider/transport/shell";
import { type FakeSystemctl, fakeSystemctl } from "../../support/fake-systemctl";
import { listeningPorts } from "../../support/listening-ports";
import { type ScriptHost, scriptHost } from "../../support/script-host";

const unit = "etcd.service";
const work = `/var/lib/etcd-backup/prod/restore-it's "a1" $HOME ü`;
const start = [`reset-failed ${unit}`, `start --no-block ${unit}`];

let host: ScriptHost;
let systemctl: FakeSystemctl;

beforeEach(() => {
  host = scriptHost();
  systemctl = fakeSystemctl(host);
  listeningPorts(host);
  host.stub("sleep", "");
});
afterEach(() => host.remove());

test("what an earlier attempt holds is still held when this one is put back: without data it must not start", async () => {
  mkdirSync(join(hold(), ".."), { recursive: true });
  writeFileSync(hold(), "held before\n");
  systemctl.shows("inactive\n");
  await stop();
  await host.run(startAsBefore(unit, work));
  expect(existsSync(hold())).toBe(true);
});

describe("stopping", () => {
  test("a hold comes first, so that not even a boot starts it", async () => {
    systemctl.shows("active\n");
    await stop();
    expect(systemctl.told()).toEqual(["daemon-reload", `stop ${unit}`]);
    expect(readFileSync(hold(), "utf8")).toContain("ConditionPathExists=/nonexistent/");
  });

  test("what could not be stopped is a failure, and stays held", async () => {
    host.stub("systemctl", `[ "$1" != stop ]`);
    await expect(stop()).rejects.toThrow();
    expect(existsSync(hold())).toBe(true);
  });

  test("it is stopped when nothing listens on its ports any more", async () => {
    listeningPorts(host, 2379, 22);
    host.stub(
      "sleep",
      `echo slept >>"$ROOT/told"; grep -v :094B "$ROOT/net/tcp" >"$ROOT/net/less"; mv "$ROOT/net/less" "$ROOT/net/tcp"`,
    );
    await stop();
    expect(systemctl.told().slice(-2)).toEqual([`stop ${unit}`, "slept"]);
  });

  test("something that goes on listening is a failure", async () => {
    listeningPorts(host, 2380);
    await expect(stop()).rejects.toMatchObject({
      stderr: expect.stringContaining("something still listens") as string,
    });
  });

  test("ports are those that are given", async () => {
    listeningPorts(host, 2380);
    await host.run(stopHeld(unit, work, [2379]));
    listeningPorts(host, 80);
    await expect(host.run(stopHeld(unit, work, [2379, 80]))).rejects.toThrow();
  });

  test("a server without IPv6 is as good as any", async () => {
    rmSync(join(host.root, "net/tcp6"));
    await stop();
    listeningPorts(host, 2380);
    rmSync(join(host.root, "net/tcp6"));
    await expect(stop()).rejects.toThrow();
  });

  test("what systemd leaves running is ended after the stop, and before the ports are looked at", async () => {
    listeningPorts(host, 2379);
    await stop(sh`echo killed >>"$ROOT/told"; rm "$ROOT/net/tcp"`);
    expect(systemctl.told()).toEqual(["daemon-reload", `stop ${unit}`, "killed"]);
  });

  test("a look that is cut off is not taken for what was found", async () => {
    host.stub("systemctl", `[ "$1" != show ] || { kill -KILL $PPID; exit; }`);
    await expect(stop()).rejects.toThrow();
    expect(existsSync(join(inWork(), "unit"))).toBe(false);
  });
});

describe("starting as before", () => {
  test.each(["active", "activating", "reloading"])("what was %s is started again, without the hold", async (state) => {
    systemctl.shows(`${state}\n`);
    await stop();
    systemctl.shows("inactive\n");
    await stop();
    await host.run(startAsBefore(unit, work));
    expect(systemctl.told().slice(-3)).toEqual(["daemon-reload", ...start]);
    expect(existsSync(join(hold(), ".."))).toBe(false);
  });

  test.each(["inactive", "failed"])("what was %s is left so, without the hold", async (state) => {
    systemctl.shows(`${state}\n`);
    await stop();
    await host.run(startAsBefore(unit, work));
    expect(systemctl.told()).toEqual(["daemon-reload", `stop ${unit}`, "daemon-reload"]);
    expect(existsSync(join(hold(), ".."))).toBe(false);
  });

  test("what was never stopped is neither started nor let go: another attempt may hold it", async () => {
    mkdirSync(join(hold(), ".."), { recursive: true });
    writeFileSync(hold(), "held before\n");
    await host.run(startAsBefore(unit, work));
    expect(systemctl.told()).toEqual([]);
    expect(existsSync(hold())).toBe(true);
  });

  test("what is put back already is not touched again", async () => {
    systemctl.shows("active\n");
    await stop();
    await host.run(startAsBefore(unit, work));
    const told = systemctl.told();
    rmSync(inWork(), { recursive: true });
    await host.run(startAsBefore(unit, work));
    expect(systemctl.told()).toEqual(told);
  });

  test("somebody's own drop-ins stay", async () => {
    mkdirSync(join(hold(), ".."), { recursive: true });
    writeFileSync(join(hold(), "../limits.conf"), "[Service]\n");
    systemctl.shows("active\n");
    await stop();
    await host.run(startAsBefore(unit, work));
    expect(readdirSync(join(hold(), ".."))).toEqual(["limits.conf"]);
  });
});

describe("units that require it", () => {
  beforeEach(() =>
    host.stub(
      "systemctl",
      `case "$*" in
*RequiredBy*) printf 'api.service idle.service\n\n' ;;
show*) echo active ;;
is-active*api.service) exit 0 ;;
is-active*) exit 3 ;;
*) echo "$*" >>"$ROOT/told" ;;
esac`,
    ),
  );

  test("are started again after it, if they ran", async () => {
    await stop();
    await host.run(startAsBefore(unit, work));
    expect(systemctl.told().slice(-2)).toEqual([`start --no-block ${unit}`, "start --no-block api.service"]);
  });

  test("can be started by themselves; where none are known, nothing is", async () => {
    await host.run(startDependants(work));
    expect(systemctl.told()).toEqual([]);
    await stop();
    await host.run(startDependants(work));
    expect(systemctl.told().slice(2)).toEqual(["start --no-block api.service"]);
  });
});

test("let go, it starts whatever it was before, and nobody waits for a quorum", async () => {
  systemctl.shows("inactive\n");
  await stop();
  await host.run(startFreed(unit));
  expect(systemctl.told().slice(2)).toEqual(["daemon-reload", ...start]);
  expect(existsSync(join(hold(), ".."))).toBe(false);
});

test("an attempt that is left starts what it still holds, and nothing else", async () => {
  await host.run(startHeld(unit));
  expect(systemctl.told()).toEqual([]);
  await stop();
  await host.run(startHeld(unit));
  expect(systemctl.told().slice(2)).toEqual(["daemon-reload", ...start]);
  expect(existsSync(hold())).toBe(false);
});

async function stop(more?: Command): Promise<void> {
  await host.run(stopHeld(unit, work, [2379, 2380], more));
}

function hold(): string {
  return join(host.root, `units/${unit}.d/zz-etcd-backup-restore.conf`);
}

function inWork(): string {
  return work.replace("/var/lib/etcd-backup", join(host.root, "state"));
}
