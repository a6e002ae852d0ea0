import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BackupError, CommandError } from "../../../../../provider/errors";
import type { EmbeddedFacts } from "../../../../../provider/distributions/embedded-etcd/facts";
import { endReset, killContainers, runReset } from "../../../../../provider/distributions/embedded-etcd/restore/reset";
import { restorePlaces } from "../../../../../provider/distributions/embedded-etcd/restore/restore-places";
import { type GivenEmbeddedFacts, embeddedFacts, rke2Program } from "../../../../support/embedded-facts";
import { type ScriptHost, scriptHost } from "../../../../support/script-host";

jest.mock("node:timers/promises", () => ({ setTimeout: () => Promise.resolve() }));

const DONE = "Managed etcd cluster membership has been reset, restart without --cluster-reset flag now.";
const secrets = ["t0ken", "s3cret", "k3ypass", "pr0xy", "env-t0ken", "dbpass"];

let host: ScriptHost;
beforeEach(() => {
  host = scriptHost();
  mkdirSync(inState(""), { recursive: true });
  mkdirSync(join(host.root, "etc"));
  writeFileSync(join(host.root, "state/shown"), "ActiveState=active\nExecMainStatus=0\n");
  writeFileSync(join(host.root, "state/stopped"), "inactive\n");
  writeFileSync(join(host.root, "state/says"), DONE);
  host.stub(
    "systemctl",
    `echo "systemctl $*" >>"$ROOT/told"
case "$*" in "show "*" -p ActiveState --value") cat "$ROOT/state/stopped" ;; show*) cat "$ROOT/state/shown" ;; esac`,
  );
  // As the real one hands them over: a word in each line.
  host.stub(
    "systemd-run",
    `echo systemd-run >>"$ROOT/told"; for w; do printf '%s' "$w" | tr '\\n' ' '; echo; done >"$ROOT/words"
cat "$ROOT/state/prod/restore-a1/reset.env" "$ROOT/etc/config.yaml.d/"* >"$ROOT/seen"; cat "$ROOT/state/says" >>"$ROOT/state/prod/restore-a1/reset.log"`,
  );
});
afterEach(() => host.remove());

describe("what the reset is started with", () => {
  test("the program's own words, and ours for a local file, after them", async () => {
    await reset({
      args: ["--data-dir=/srv/my k3s", "--etcd-arg", "quota-backend-bytes=8", "--etcd-s3", "--cluster-init"],
    });
    const words = lines("words");
    expect(words.slice(words.indexOf("--") + 1)).toEqual([
      ...["/bin/sh", "-c", 'unset K3S_URL NOTIFY_SOCKET; exec timeout -k 30 "$@" >>"$0" 2>&1'],
      ...[inState("reset.log"), "60", "/usr/local/bin/k3s", "server"],
      ...["--data-dir=/srv/my k3s", "--etcd-arg", "quota-backend-bytes=8", "--cluster-init"],
      ...["--cluster-reset", `--cluster-reset-restore-path=${inState("snapshot")}`],
      ...["--etcd-s3=false", "--etcd-disable-snapshots=false"],
      "--etcd-arg=advertise-client-urls=https://127.0.0.1:2379",
    ]);
  });

  test("a server to join, and what else would stop it, is left out", async () => {
    await reset({
      args: ["--server", "https://10.0.0.9:6443", "--etcd-s3-config-secret=s", "--etcd-disable-snapshots"],
      environment: [
        { name: "K3S_URL", value: "https://10.0.0.9:6443" },
        { name: "K3S_NODE_NAME", value: "n" },
      ],
    });
    expect(lines("words").join("")).not.toMatch(/10\.0\.0\.9|config-secret/);
    expect(seen()).toContain('server: ""');
    expect(seen()).toContain('K3S_NODE_NAME="n"');
    expect(seen()).not.toContain("K3S_URL");
  });

  test("a configured S3 secret, which a restore may not use, is taken back", async () => {
    const path = "/etc/rancher/k3s/config.yaml";
    await reset({ configFiles: [{ path, text: "etcd-s3-config-secret: mine" }] });
    expect(seen()).toContain('etcd-s3-config-secret: ""');
  });

  test("systemd puts no variables into its words", async () => {
    await reset({ args: ["--node-label", "cost=${HOME}$"] });
    expect(lines("words")).toContain("cost=$${HOME}$$");
  });

  test("the unit's environment goes along, its files as they are named", async () => {
    await reset({
      environmentFiles: ["-/etc/default/k3s", "/etc/my k3s.env"],
      environment: [{ name: "A", value: `say "so" $HOME \`x\` \\` }],
    });
    const files = lines("words").filter((word) => word.startsWith("EnvironmentFile="));
    expect(files).toEqual([
      ...[`EnvironmentFile=${inState("reset.env")}`, "EnvironmentFile=-/etc/default/k3s"],
      "EnvironmentFile=/etc/my k3s.env",
    ]);
    expect(seen()).toContain('A="say \\"so\\" \\$HOME \\`x\\` \\\\"');
  });

  test("on an IPv6 server, its own address is the IPv6 one", async () => {
    await reset({ address: "fd00::11" });
    expect(lines("words")).toContain("--etcd-arg=advertise-client-urls=https://[::1]:2379");
  });

  test("no secret is a word of any command; they lie in files of root's", async () => {
    await reset(
      {
        args: [
          ...["--token", "t0ken", "--etcd-s3-secret-key=s3cret", "-etcd-s3-access-key", "k3ypass"],
          ...["--etcd-s3-proxy=http://u:pr0xy@p", "--datastore-endpoint="],
        ],
        environment: [{ name: "K3S_TOKEN", value: "env-t0ken" }],
      },
      "given-t0ken",
    );
    const words = readFileSync(join(host.root, "words"), "utf8") + readFileSync(join(host.root, "told"), "utf8");
    for (const secret of secrets) expect(words).not.toContain(secret);
    expect(seen()).toContain('token: "given-t0ken"');
    for (const secret of ["s3cret", "k3ypass", "pr0xy", "env-t0ken"]) expect(seen()).toContain(secret);
  });

  test("its files are root's alone, and gone when it is done", async () => {
    host.stub(
      "systemd-run",
      `stat -c %a "$ROOT"/etc/config.yaml.d/* "$ROOT/state/prod/restore-a1/reset.env" "$ROOT/state/prod/restore-a1/reset.log" >"$ROOT/modes"; cat "$ROOT/state/says" >>"$ROOT/state/prod/restore-a1/reset.log"`,
    );
    await reset();
    expect(lines("modes")).toEqual(["600", "600", "600"]);
    expect([
      existsSync(join(host.root, "etc/config.yaml.d/~~~etcd-backup-restore.yaml")),
      existsSync(inState("reset.env")),
    ]).toEqual([false, false]);
  });
});

test("it is done when it exits 0 and says so, whatever the words around it", async () => {
  for (const said of [
    DONE,
    'time="…" level=info msg="Etcd is running, restart without --cluster-reset flag now. Backup …"',
  ]) {
    says(said);
    await reset();
  }
});

test("an earlier try is ended before another one begins", async () => {
  await reset();
  const told = lines("told").filter((line) => !line.startsWith("systemctl show"));
  const unit = "etcd-backup-reset-a1.service";
  const end = [`systemctl stop ${unit}`, `systemctl reset-failed ${unit}`];
  expect(told).toEqual([...end, "systemd-run", ...end]);
});

test("it is waited for, also while its job is still queued", async () => {
  host.stub(
    "systemctl",
    `[ "$1" = show ] || exit 0
case "$*" in *--value) echo inactive; exit ;; esac
n=$(cat "$ROOT/n" 2>/dev/null || echo 0); echo $((n + 1)) >"$ROOT/n"
case $n in 0) printf 'LoadState=loaded\\nActiveState=inactive\\nJob=84\\n' ;; 1) printf 'ActiveState=activating\\nJob=84\\n' ;; *) printf 'ActiveState=active\\nJob=\\nExecMainStatus=0\\n' ;; esac`,
  );
  await reset();
  expect(lines("n")).toEqual(["3"]);
});

describe("a look that is lost", () => {
  const lost = new CommandError("look", { host: "s1", exitCode: undefined, stderr: "Connection reset by peer" });
  afterEach(() => jest.restoreAllMocks());

  test("is no end of it: it runs on without us", async () => {
    const query = jest.spyOn(host, "query");
    for (let n = 0; n < 20; n++) query.mockRejectedValueOnce(lost);
    await reset();
    expect(query).toHaveBeenCalledTimes(21);
  });

  test("is looked for again until a minute after the deadline, and no longer", async () => {
    const query = jest.spyOn(host, "query").mockRejectedValue(lost);
    let now = 0;
    jest.spyOn(Date, "now").mockImplementation(() => (now += 10_000));
    await expect(reset()).rejects.toBe(lost);
    // It begins at 10 s, and ends two minutes later.
    expect(query).toHaveBeenCalledTimes(13);
  });

  test("with our lock is the end at once: another may be at work", async () => {
    const query = jest.spyOn(host, "query").mockRejectedValue(new BackupError("LOCK_LOST", "the lock is lost"));
    await expect(reset()).rejects.toMatchObject({ code: "LOCK_LOST" });
    expect(query).toHaveBeenCalledTimes(1);
  });
});

describe("not done", () => {
  const panic = `time="x" level=fatal msg="…"\npanic: Unable to authenticate: bootstrap data already found and encrypted with different token`;
  test.each<[string, string, string, string]>([
    [
      "exit 0 without the message",
      "ActiveState=active\nExecMainStatus=0\n",
      "k3s is up and running",
      "did not say that it was done",
    ],
    ["exit 1 with the message", "ActiveState=failed\nExecMainStatus=1\n", DONE, "exit 1"],
    ["its deadline", "ActiveState=failed\nExecMainStatus=124\n", DONE, "did not end before its deadline"],
    ["killed", "ActiveState=failed\nExecMainStatus=137\n", "", "was killed"],
    [
      "a server restarted meanwhile",
      "LoadState=not-found\nActiveState=inactive\nJob=\nExecMainStatus=0\n",
      DONE,
      "was cut off: the server was restarted",
    ],
    ["a panic of something else", "ActiveState=failed\nExecMainStatus=2\n", "panic: no", "exit 2"],
  ])("%s", async (_, shown, said, what) => {
    writeFileSync(join(host.root, "state/shown"), shown);
    says(said);
    await expect(reset()).rejects.toMatchObject({
      ...{ code: "COMMAND_FAILED", host: "s1" },
      message: expect.stringContaining(`k3s server --cluster-reset: ${what}`) as string,
    });
  });

  test("another token is asked for", async () => {
    writeFileSync(join(host.root, "state/shown"), "ActiveState=failed\nExecMainStatus=2\n");
    says(panic);
    await expect(reset()).rejects.toMatchObject({
      ...{ code: "TOKEN_MISMATCH", message: expect.stringMatching(/exit 2[^]*different token[^]*`token`/) as string },
    });
  });

  test("what it called fatal comes first, then its end; each once, without etcd's chatter", async () => {
    writeFileSync(join(host.root, "state/shown"), "ActiveState=failed\nExecMainStatus=1\n");
    const chatter = Array.from({ length: 30 }, (_, n) => `{"level":"info","msg":"${n}"}`);
    says(["level=fatal msg=no", ...chatter, '{"level":"warn","msg":"slow"}', "last", "last"].join("\n"));
    const message = await reset().then(
      () => "",
      (error: Error) => error.message,
    );
    expect(message.split("\n").slice(1)).toEqual([
      "  | level=fatal msg=no",
      '  | {"level":"warn","msg":"slow"}',
      "  | last",
    ]);
  });

  test("a disk without room keeps it from starting at all", async () => {
    host.stub("mktemp", "echo 'No space left on device' >&2; exit 1");
    await expect(reset()).rejects.toBeInstanceOf(Error);
    expect(existsSync(join(host.root, "words"))).toBe(false);
  });
});

describe("ending it", () => {
  test("is safe where none was", async () => {
    host.stub("systemctl", "exit 5");
    const facts = given();
    await host.run(endReset(facts, restorePlaces("prod", facts, "a1")));
  });

  test.each(["inactive", "failed"])("leaves nothing of one that is %s by then", async (state) => {
    const [places, dropIn] = leftOver(state);
    await host.run(endReset(given(), places));
    expect([existsSync(dropIn), existsSync(inState("reset.env"))]).toEqual([false, false]);
    expect(lines("told").at(-1)).toBe("systemctl reset-failed etcd-backup-reset-a1.service");
  });

  test.each(["active", "activating", "deactivating"])(
    "is no success while it is %s: it reads its settings yet, and writes data",
    async (state) => {
      const [places, dropIn] = leftOver(state);
      await expect(host.run(endReset(given(), places))).rejects.toMatchObject({
        stderr: expect.stringContaining("systemctl kill -s KILL etcd-backup-reset-a1.service") as string,
      });
      expect([existsSync(dropIn), existsSync(inState("reset.env"))]).toEqual([true, true]);
    },
  );

  test("RKE2's containers end with it, and what the kill script tidies up last is not its failure", async () => {
    host.stub("rke2-killall.sh", `echo "$RKE2_DATA_DIR" >"$ROOT/killed"; exit 1`);
    const killScript = join(host.root, "bin/rke2-killall.sh");
    const facts = given({ program: rke2Program, dataDir: "/srv/my rke2", killScript });
    await host.run(endReset(facts, restorePlaces("prod", facts, "a1")));
    expect(lines("killed")).toEqual(["/srv/my rke2"]);
  });

  test("K3s's containers run on", () => {
    expect(killContainers(given({ killScript: "/usr/local/bin/k3s-killall.sh" })).text).toBe("");
  });
});

function reset(own: GivenEmbeddedFacts = {}, token?: string): Promise<void> {
  const facts = given(own);
  return runReset(host, facts, restorePlaces("prod", facts, "a1"), token, 60_000);
}

/** What a reset leaves that was told to stop, and is now in some state. */
function leftOver(state: string): [ReturnType<typeof restorePlaces>, string] {
  writeFileSync(join(host.root, "state/stopped"), `${state}\n`);
  const places = restorePlaces("prod", given(), "a1");
  mkdirSync(join(host.root, "etc/config.yaml.d"));
  writeFileSync(places.dropIn, "");
  writeFileSync(inState("reset.env"), "");
  return [places, places.dropIn];
}

function given(own: GivenEmbeddedFacts = {}): EmbeddedFacts {
  return embeddedFacts({ configFile: join(host.root, "etc/config.yaml"), ...own });
}

function says(text: string): void {
  writeFileSync(join(host.root, "state/says"), `${text}\n`);
}

/** What the reset would have read: its environment and its configuration. */
function seen(): string {
  return readFileSync(join(host.root, "seen"), "utf8");
}

function lines(name: string): string[] {
  return readFileSync(join(host.root, name), "utf8").trimEnd().split("\n");
}

function inState(name: string): string {
  return join(host.root, "state/prod/restore-a1", name);
}
