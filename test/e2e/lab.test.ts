import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { readEquipment, repository } from "../lab/equipment";
import { type Lab, startLab } from "../lab/lab";
import { finish, type Finished } from "../lab/process";
import { removeDeadLabs } from "../lab/remove-lab";
import { tracesOf } from "../lab/traces";
import { waitFor } from "../lab/wait";

jest.setTimeout(120_000);

test("two labs at once: each reaches its own machine over SSH, and nothing of either is left after it was taken down", async () => {
  const labs = await Promise.all([startLab({ machines: ["s1"] }), startLab({ machines: ["s1"] })]);
  try {
    const [one, other] = await Promise.all(labs.map((lab) => ssh(lab, "cat /etc/machine-id")));
    expect(one).toMatch(/^[0-9a-f]{32}\n$/);
    expect(other).toMatch(/^[0-9a-f]{32}\n$/);
    expect(one).not.toBe(other);
    for (const lab of labs) expect(tracesOf(lab.directory)).toContainEqual(expect.stringContaining("mount "));
  } finally {
    await Promise.all(labs.map((lab) => lab.down()));
  }
  for (const lab of labs) await waitFor("nothing is left", () => none(tracesOf(lab.directory)), { deadlineMs: 20_000 });
});

test.each([
  ["etcd", "/usr/local/bin/etcdctl version", /3\.6/],
  ["k3s", "k3s kubectl get nodes", /^s3 +Ready/m],
  ["rke2", "/var/lib/rancher/rke2/bin/kubectl --kubeconfig /etc/rancher/rke2/rke2.yaml get nodes", /^s3 +Ready/m],
])(
  "a lab with %s, brought up by hand, stays when the command ends, until it is taken down",
  async (name, command, answer) => {
    const up = await cli("up", "--distribution", name);
    try {
      expect(up.stdout + up.stderr).toMatch(/^ready in /m);
      expect((await cli("status")).stdout).toContain("s3");
      expect(await cli("ssh", "s2", "hostname")).toMatchObject({ code: 0, stdout: "s2\n" });
      expect((await cli("ssh", "s2", command)).stdout).toMatch(answer);
      expect((await cli("up")).stderr).toContain("a lab is up already");
    } finally {
      await cli("down");
    }
    expect((await cli("status")).code).toBe(1);
  },
);

test("what is no distribution is refused with those that are, before anything is booted", async () => {
  const known = "etcd, k3s, rke2";
  expect(await cli("up", "--distribution", "rke")).toMatchObject({
    code: 1,
    stderr: `--distribution rke: not one of ${known}\n`,
  });
  expect((await cli("up", "--distribution")).stderr).toBe(`--distribution needs one of ${known}\n`);
  for (const words of [["k3s"], ["--distro=k3s"], ["--distribution=k3s", "now"]]) {
    expect((await cli("up", ...words)).stderr).toBe(
      `${words.at(-1) ?? ""}: not known here; there is --distribution with one of ${known}, after \`--\`\n`,
    );
  }
  expect((await cli("status")).code).toBe(1);
  expect(await run("demo.ts", "--distribution", "rke")).toMatchObject({
    code: 1,
    stdout: "",
    stderr: `the demo failed: --distribution rke: not one of ${known}\n`,
  });
});

test("a lab whose process was killed goes by itself", async () => {
  const { directory, process: child } = await labOfAnotherProcess();
  child.kill("SIGKILL");
  await waitFor("nothing is left", () => none(tracesOf(directory)), { deadlineMs: 30_000 });
});

test("a lab whose process was killed together with its watcher goes when the next one starts", async () => {
  const { directory, process: child } = await labOfAnotherProcess();
  const children = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, "utf8").trim().split(" ").map(Number);
  // The watcher leads a process group of its own; so does the machine, which stays.
  const watcher = children.find((pid) => readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("remove"));
  process.kill(-(watcher ?? NaN), "SIGKILL");
  child.kill("SIGKILL");
  await once(child, "exit");
  expect(tracesOf(directory)).toContainEqual(expect.stringContaining("mount "));
  await removeDeadLabs(readEquipment().cache);
  expect(tracesOf(directory)).toEqual([]);
});

test("a machine that loses its power comes back with what it had written, and without what was in memory", async () => {
  const lab = await startLab({ machines: ["s1"] });
  try {
    const s1 = lab.machine("s1");
    await s1.exec("echo kept >/root/kept; echo lost >/run/lost");
    await s1.powerLoss();
    expect(s1.isRunning).toBe(false);
    await s1.boot();
    expect(await ssh(lab, "cat /root/kept; ls /run/lost 2>&1 || true")).toMatch(/^kept\nls: /);
  } finally {
    await lab.down();
  }
});

test("a record has what came over SSH, with arguments and environment, and not what the lab itself ran", async () => {
  const lab = await startLab({ machines: ["s1"] });
  try {
    const record = await lab.machine("s1").record();
    await lab.machine("s1").exec("/bin/echo by-the-lab");
    await ssh(lab, "MARK=in-the-environment /bin/echo over-ssh");
    const execs = await record.stop();
    expect(execs).toContain('["/bin/echo", "over-ssh"]');
    expect(execs).toContain('"MARK=in-the-environment"');
    expect(execs).not.toContain("by-the-lab");
  } finally {
    await lab.down();
  }
});

function cli(...words: readonly string[]): Promise<Finished> {
  return run("cli.ts", ...words);
}

function run(program: string, ...words: readonly string[]): Promise<Finished> {
  return finish(process.execPath, ["--import", "tsx", join("test/lab", program), ...words], { cwd: repository });
}

async function ssh(lab: Lab, command: string): Promise<string> {
  const options = ["-F", "none", "-i", lab.sshKey.privateKeyPath, "-o", `UserKnownHostsFile=${lab.knownHostsPath}`];
  const { stdout, stderr } = await finish("ssh", [...options, `root@${lab.machine("s1").address}`, command]);
  return stdout + stderr;
}

async function labOfAnotherProcess(): Promise<{ directory: string; process: ReturnType<typeof spawn> }> {
  const program = `
    const { startLab } = require(${JSON.stringify(join(repository, "test/lab/lab.ts"))});
    startLab({ machines: ["s1"] }).then((lab) => { console.log(lab.directory); setInterval(() => undefined, 1000); });`;
  const child = spawn(process.execPath, ["--import", "tsx", "--eval", program], {
    cwd: repository,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  return { directory: line.toString().trim(), process: child };
}

function none(traces: readonly string[]): true | undefined {
  if (traces.length > 0) throw new Error(traces.join("; "));
  return true;
}
