import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loginShellLine, scriptBytes, scriptCommand } from "../../../provider/transport/loader";

const folder = mkdtempSync(join(tmpdir(), "loader-"));

// bash reads ~/.bashrc when its input is a socket, as it is under sshd and here.
const plain = { PATH: "/usr/bin:/bin", HOME: folder };

function run(shell: readonly string[], text: string, input = "", env: NodeJS.ProcessEnv = plain, cut = 0) {
  const script = scriptBytes(text);
  const line = loginShellLine(scriptCommand({ kind: "none" }, "ready", 20, script.length));
  const [file = "", ...args] = shell;
  const stdin = Buffer.concat([script, Buffer.from(input)]).subarray(0, cut === 0 ? undefined : -cut);
  return spawnSync(file, [...args, "-c", line], { input: stdin, encoding: "utf8", env });
}

describe.each([[["dash"]], [["bash"]], [["busybox", "sh"]]])("under %s", (shell) => {
  test("the script runs in C, in sbin's reach, and what follows it is its input", () => {
    const text = 'echo "$LC_ALL"; pwd; case $PATH in */usr/sbin*) echo sbin;; esac; cat';
    expect(run(shell, text, "input\n\n")).toMatchObject({
      status: 0,
      stdout: "ready\nC\n/\nsbin\ninput\n\n",
      stderr: "ready\n",
    });
  });

  test.each([
    ["exit 3", 3],
    ["false", 1],
    ["true", 0],
    ["set -e\nfalse\ntrue", 1],
    ["cat <<'end'\ntext\nend", 0],
    ["(exit 5)", 5],
  ])("the status of %j is %i", (text, status) => {
    expect(run(shell, text).status).toBe(status);
  });

  test("a script cut short does not run", () => {
    const result = run(shell, "echo one\necho two; rm -rf /nowhere/at/all", "", undefined, 20);
    expect(result).toMatchObject({ status: 125, stdout: "ready\n" });
    expect(result.stderr).toContain("did not arrive whole");
  });

  test("a script of many bytes of any kind arrives as it is", () => {
    const text = `printf '%s' '${"ü\\'".replace("'", "")}$\`"!\t${"x".repeat(20_000)}'`;
    expect(run(shell, text).stdout).toBe(`ready\nü\\$\`"!\t${"x".repeat(20_000)}`);
  });
});

test("without `timeout`, or with busybox's old one, the script runs all the same", () => {
  const bin = mkdtempSync(join(folder, "bin-"));
  const old = join(bin, "timeout");
  writeFileSync(old, '#!/bin/sh\necho "timeout: invalid option -- k" >&2\nexit 1\n');
  chmodSync(old, 0o755);
  expect(run(["sh"], "echo ran", "", { ...plain, PATH: `${bin}:/usr/bin:/bin` })).toMatchObject({
    status: 0,
    stdout: "ready\nran\n",
    stderr: "ready\n",
  });
});

test("the command line is the same for scripts of one length, whatever they say", () => {
  const line = (text: string) => loginShellLine(scriptCommand({ kind: "sudo" }, "r", 60, scriptBytes(text).length));
  expect(line("rm -rf x")).toBe(line("cat file"));
});

test("the command line reads the same in every login shell: nothing that csh or fish take differently", () => {
  const privileges = [{ kind: "none" }, { kind: "sudo" }, { kind: "sudo-password", prompt: "password-1:" }] as const;
  for (const privilege of privileges) {
    const line = loginShellLine(scriptCommand(privilege, "ready-1", 60, 10));
    // csh: "!" and newlines even inside quotes; fish: backslashes inside quotes; nobody: a quote inside quotes.
    expect(line).not.toMatch(/[!\\\n]/);
    expect(line.split("'").length % 2).toBe(1);
  }
  for (const word of ["it's", "back\\slash", "bang!", "new\nline"])
    expect(() => loginShellLine([word])).toThrow(TypeError);
});

test("sudo speaks English, asks nobody, or asks with our prompt only", () => {
  expect(scriptCommand({ kind: "sudo" }, "r", 1, 1).slice(0, 5)).toEqual(["env", "LC_ALL=C", "sudo", "-n", "--"]);
  expect(scriptCommand({ kind: "sudo-password", prompt: "p:" }, "r", 1, 1).slice(0, 8)).toEqual([
    ...["env", "LC_ALL=C", "sudo", "-k", "-S", "-p", "p:", "--"],
  ]);
});
