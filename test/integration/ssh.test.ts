import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { connect as connectSocket, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Connection } from "../../provider/model";
import { closeConnections, connect, connectionCounts, pipeFile } from "../../provider/transport/connect";
import { secret, sh } from "../../provider/transport/shell";
import {
  generateKey,
  publicLine,
  type SshServerOptions,
  startSshServer,
  type TestSshServer,
} from "../support/ssh-server";

const user = generateKey();
const servers: TestSshServer[] = [];
const folder = mkdtempSync(join(tmpdir(), "ssh-test-"));

afterEach(async () => {
  await closeConnections();
  await Promise.all(servers.splice(0).map((server) => server.stop()));
});

async function start(options: SshServerOptions = {}): Promise<TestSshServer> {
  const server = await startSshServer({ publicKeys: [user.public], ...options });
  servers.push(server);
  return server;
}

function addressOf(server: TestSshServer): Connection {
  return { host: "127.0.0.1", port: server.port, knownHosts: server.knownHosts, dialErrorLimit: 0 };
}

function to(server: TestSshServer, more: Connection = {}): Connection {
  return { ...addressOf(server), privateKey: user.private, ...more };
}

describe("commands", () => {
  test("output, errors and input are the script's own", async () => {
    const host = await connect("s1", to(await start()));
    expect(await host.query(sh`echo ${"it's $HOME"}; cat; echo oops >&2`, { stdin: "one\ntwo" })).toEqual({
      stdout: "it's $HOME\none\ntwo",
      stderr: "oops\n",
    });
  });

  test("a script that reads no input, or reads more than there is, ends", async () => {
    const host = await connect("s1", to(await start()));
    expect(await host.query(sh`true`, { stdin: "x".repeat(1_000_000) })).toEqual({ stdout: "", stderr: "" });
    expect((await host.query(sh`cat; cat; echo done`)).stdout).toBe("done\n");
  });

  test("the script stands in no command line", async () => {
    const server = await start();
    const host = await connect("s1", to(server));
    await host.run(sh`echo ${secret("hunter2")} hidden-word`);
    expect(server.commands).toHaveLength(1);
    expect(server.commands.join()).not.toMatch(/hunter2|hidden-word/);
  });

  test("a failure names server, command, exit code and the last line of stderr, and hides secrets", async () => {
    const host = await connect("s1", to(await start()));
    await expect(
      host.run(sh`set -eu
echo ${secret("p&ss")} >&2; echo not ${secret("p&ss")} >&2; exit 3`),
    ).rejects.toMatchObject({
      code: "COMMAND_FAILED",
      exitCode: 3,
      stderr: "[secret]\nnot [secret]\n",
      message: "s1: echo [secret] >&2; echo not [secret] >&2; exit 3: exit 3: not [secret]",
    });
  });

  test("the deadline ends the command on the server, children too", async () => {
    const host = await connect("s1", to(await start()));
    const pids = join(folder, "pids");
    const hanging = sh`sleep 300 & echo $! >${pids}; echo $$ >>${pids}; sleep 300`;
    await expect(host.run(hanging, { timeoutMs: 1000 })).rejects.toMatchObject({
      code: "COMMAND_TIMED_OUT",
      host: "s1",
    });
    for (const pid of readFileSync(pids, "utf8").trim().split("\n")) {
      await until(() => !isRunning(pid));
    }
  });

  test("exit 124 of the script itself is not a timeout", async () => {
    const host = await connect("s1", to(await start()));
    await expect(host.run(sh`exit 124`)).rejects.toMatchObject({ code: "COMMAND_FAILED", exitCode: 124 });
  });

  test("output without end is cut off with an error, also when it goes on for ever", async () => {
    const host = await connect("s1", to(await start()));
    await expect(host.query(sh`cat /dev/zero`)).rejects.toMatchObject({
      code: "COMMAND_FAILED",
      message: "s1: cat /dev/zero: it wrote more than 8 MiB",
    });
    expect((await host.query(sh`echo still here`)).stdout).toBe("still here\n");
  });

  test.each(["/bin/dash", "/bin/bash", "/bin/busybox-sh"])("the login shell may be %s", async (shell) => {
    const path = join(folder, "busybox-sh");
    writeFileSync(path, '#!/bin/sh\nexec busybox sh "$@"\n', { mode: 0o755 });
    const host = await connect("s1", to(await start({ shell: shell === "/bin/busybox-sh" ? path : shell })));
    expect((await host.query(sh`printf '%s\n' ${"a b"} "$LC_ALL"; cat`, { stdin: "in" })).stdout).toBe("a b\nC\nin");
  });

  test("what a login shell's start-up files print is not the script's output", async () => {
    const path = join(folder, "chatty-sh");
    writeFileSync(path, '#!/bin/sh\necho welcome; echo "mesg: not a tty" >&2\nexec sh "$@"\n', { mode: 0o755 });
    const host = await connect("s1", to(await start({ shell: path })));
    expect(await host.query(sh`echo out; echo err >&2`)).toEqual({ stdout: "out\n", stderr: "err\n" });
  });

  test("programs in sbin are found", async () => {
    const host = await connect("s1", to(await start({ env: { PATH: "/usr/bin:/bin" } })));
    expect((await host.query(sh`case :$PATH: in *:/usr/sbin:*) echo yes;; esac`)).stdout).toBe("yes\n");
  });
});

describe("files", () => {
  test("written with their mode, in folders that are made, and read back", async () => {
    const host = await connect("s1", to(await start()));
    const path = join(folder, "new/deep er/it's.txt");
    await host.writeFile(path, "grüße\n", { mode: 0o600 });
    expect(await host.readFile(path)).toBe("grüße\n");
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(statSync(join(folder, "new/deep er")).mode & 0o777).toBe(0o755);
    expect(readdirSync(join(folder, "new/deep er"))).toEqual(["it's.txt"]);
  });

  test("one that is not there is undefined, one that cannot be read is an error", async () => {
    const host = await connect("s1", to(await start()));
    expect(await host.readFile(join(folder, "absent"))).toBeUndefined();
    await expect(host.readFile(folder)).rejects.toMatchObject({ code: "COMMAND_FAILED" });
  });

  test("a full disk leaves the old file and nothing else", async () => {
    const host = await connect("s1", to(await start()));
    const path = join(folder, "full/file");
    await host.writeFile(path, "old");
    // A file-size limit stands for the full disk: the write fails half-way, as there.
    const limited = await connect("s2", to(await start({ shell: limitedShell() })));
    await expect(limited.writeFile(path, "x".repeat(3_000_000))).rejects.toMatchObject({ code: "COMMAND_FAILED" });
    expect(readFileSync(path, "utf8")).toBe("old");
    expect(readdirSync(join(folder, "full"))).toEqual(["file"]);
  });

  test("a range is bytes, fewer only where the file ends", async () => {
    const host = await connect("s1", to(await start()));
    const bytes = Buffer.from(Array.from({ length: 70_000 }, (_, i) => i % 256));
    writeFileSync(join(folder, "bytes"), bytes);
    const read = (offset: number, length: number) => host.readRange(join(folder, "bytes"), offset, length);
    expect(Buffer.from(await read(250, 5000)).equals(bytes.subarray(250, 5250))).toBe(true);
    expect(Buffer.from(await read(69_990, 100)).equals(bytes.subarray(69_990))).toBe(true);
    expect(await read(80_000, 10)).toHaveLength(0);
    await expect(host.readRange(join(folder, "absent"), 0, 10)).rejects.toMatchObject({ code: "COMMAND_FAILED" });
  });

  test("copied from server to server, whole, 0600, binary", async () => {
    const from = await connect("s1", to(await start()));
    const target = await connect("s2", to(await start()));
    const bytes = Buffer.alloc(9_000_001, Buffer.from(Array.from({ length: 256 }, (_, i) => i)));
    writeFileSync(join(folder, "snapshot"), bytes);
    await pipeFile(from, join(folder, "snapshot"), target, join(folder, "copied/snapshot"));
    expect(readFileSync(join(folder, "copied/snapshot")).equals(bytes)).toBe(true);
    expect(statSync(join(folder, "copied/snapshot")).mode & 0o777).toBe(0o600);
  });

  test("a copy whose target fails, or whose source is absent, leaves nothing", async () => {
    const from = await connect("s1", to(await start()));
    const target = await connect("s2", to(await start({ shell: limitedShell() })));
    writeFileSync(join(folder, "large"), Buffer.alloc(5_000_000));
    await expect(pipeFile(from, join(folder, "large"), target, join(folder, "kept/large"))).rejects.toMatchObject({
      code: "COMMAND_FAILED",
      host: "s2",
    });
    expect(readdirSync(join(folder, "kept"))).toEqual([]);
    await expect(pipeFile(from, join(folder, "nothing"), target, join(folder, "kept/n"))).rejects.toMatchObject({
      host: "s1",
    });
  });

  function limitedShell(): string {
    const path = join(folder, "limited-sh");
    writeFileSync(path, '#!/bin/sh\ntrap "" XFSZ\nulimit -f 1000\nexec sh "$@"\n', { mode: 0o755 });
    return path;
  }
});

describe("the connection", () => {
  test("is one for all who ask, also at once and under two names", async () => {
    const server = await start();
    const hosts = await Promise.all(["s1", "s1", "s2"].map((name) => connect(name, to(server))));
    await Promise.all(hosts.map((host) => host.query(sh`true`)));
    expect(server.dials()).toBe(1);
  });

  test("is made again when it broke while idle", async () => {
    const server = await start();
    const host = await connect("s1", to(server));
    server.cut();
    expect((await host.query(sh`echo again`)).stdout).toBe("again\n");
    expect(server.dials()).toBe(2);
  });

  test("a command that had started is never run twice", async () => {
    const server = await start();
    const host = await connect("s1", to(server));
    const log = join(folder, "started");
    const running = host.run(sh`echo x >>${log}; sleep 5`);
    const failed = expect(running).rejects.toMatchObject({
      code: "HOST_UNREACHABLE",
      hint: "Whether it was carried out is not known.",
    });
    await until(() => statSync(log, { throwIfNoEntry: false }) !== undefined);
    server.cut();
    await failed;
    expect(readFileSync(log, "utf8")).toBe("x\n");
  });

  test("more commands than the server has sessions for wait their turn", async () => {
    const server = await start({ maxSessions: 2 });
    const host = await connect("s1", to(server));
    const all = Array.from({ length: 12 }, (_, i) => host.query(sh`sleep 0.1; echo ${i}`));
    expect((await Promise.all(all)).map((r) => r.stdout)).toEqual(all.map((_, i) => `${i}\n`));
    expect(server.dials()).toBe(1);
  });

  test("every command is counted as one", async () => {
    const host = await connect("counted", to(await start()));
    await host.query(sh`true`);
    await host.writeFile(join(folder, "counted"), "");
    await host.readFile(join(folder, "counted"));
    expect(connectionCounts().get("counted")).toEqual({ commands: 3, tunnels: 0 });
  });
});

describe("dialling", () => {
  test("a server that drops the first connections is dialled again", async () => {
    const server = await start({ dropFirst: 2 });
    const host = await connect("s1", to(server, { dialErrorLimit: 3 }));
    expect((await host.query(sh`echo hi`)).stdout).toBe("hi\n");
    expect(server.dials()).toBe(3);
  });

  test("nobody there: the error has address, attempts and the last error", async () => {
    const server = await start();
    await server.stop();
    await expect(connect("s1", to(server, { dialErrorLimit: 1 }))).rejects.toMatchObject({
      code: "HOST_UNREACHABLE",
      host: "s1",
      message: expect.stringMatching(
        new RegExp(`^s1: no connection to 127.0.0.1:${server.port} after 2 attempts: connect ECONNREFUSED`),
      ) as string,
    });
  });

  test("a server that says nothing is given up after perDialTimeout", async () => {
    const server = await start({ bannerDelayMs: 10_000 });
    const startedAt = Date.now();
    await expect(connect("s1", to(server, { perDialTimeout: 1 }))).rejects.toMatchObject({
      code: "HOST_UNREACHABLE",
      message: expect.stringContaining("after 1 attempt: no connection within 1 s") as string,
    });
    expect(Date.now() - startedAt).toBeLessThan(3_000);
  });

  test("a slow banner is waited for", async () => {
    const host = await connect("s1", to(await start({ bannerDelayMs: 700 })));
    expect((await host.query(sh`echo hi`)).stdout).toBe("hi\n");
  });
});

describe("credentials", () => {
  test("a rejected key is not tried again, and the error names what was tried", async () => {
    const server = await start({ publicKeys: [] });
    await expect(connect("s1", to(server, { user: "ubuntu", dialErrorLimit: 5 }))).rejects.toMatchObject({
      code: "AUTH_REJECTED",
      message: expect.stringContaining("rejected user ubuntu (tried: publickey)") as string,
    });
    expect(server.dials()).toBe(1);
  });

  test.each([false, true])(
    "a password is given, also when it is asked for interactively (%s)",
    async (keyboardInteractive) => {
      const server = await start({ password: "pa ss", keyboardInteractive });
      const connection: Connection = { ...addressOf(server), password: "pa ss" };
      expect((await (await connect("s1", connection)).query(sh`echo in`)).stdout).toBe("in\n");
      await expect(connect("s1", { ...connection, password: "wrong" })).rejects.toMatchObject({
        code: "AUTH_REJECTED",
      });
    },
  );

  test("an encrypted key needs its passphrase, before anything is dialled", async () => {
    const encrypted = generateKey("ed25519", "open sesame");
    const server = await start({ publicKeys: [encrypted.public] });
    const connection = to(server, { privateKey: encrypted.private });
    await expect(connect("s1", connection)).rejects.toMatchObject({ code: "INVALID_INPUT" });
    await expect(connect("s1", { ...connection, privateKeyPassword: "no" })).rejects.toMatchObject({
      code: "INVALID_INPUT",
    });
    expect(server.dials()).toBe(0);
    const host = await connect("s1", { ...connection, privateKeyPassword: "open sesame" });
    expect((await host.query(sh`echo in`)).stdout).toBe("in\n");
  });

  test("a path or a public key in place of a private key is refused without showing it", async () => {
    const server = await start();
    for (const privateKey of ["~/.ssh/id_ed25519", user.public]) {
      const error = await connect("s1", to(server, { privateKey })).catch((e: unknown) => e);
      expect(error).toMatchObject({ code: "INVALID_INPUT" });
      expect(String(error)).not.toContain(privateKey);
    }
    expect(server.dials()).toBe(0);
  });

  test("an agent signs, whether it is named or the environment's", async () => {
    const socket = join(folder, "agent");
    const agent = spawn("ssh-agent", ["-D", "-a", socket], { stdio: "ignore" });
    try {
      await until(() => existsSync(socket));
      execFileSync("ssh-add", ["-q", "-"], { input: user.private, env: { ...process.env, SSH_AUTH_SOCK: socket } });
      const server = await start();
      const named = await connect("s1", { ...addressOf(server), agentSocketPath: socket });
      expect((await named.query(sh`echo in`)).stdout).toBe("in\n");
      await closeConnections();
      process.env["SSH_AUTH_SOCK"] = socket;
      expect((await (await connect("s1", addressOf(server))).query(sh`echo in`)).stdout).toBe("in\n");
    } finally {
      delete process.env["SSH_AUTH_SOCK"];
      agent.kill();
    }
  });

  test("carriage returns and a lost last line end do not spoil a key", async () => {
    const spoilt = user.private.trim().replaceAll("\n", "\r\n");
    expect((await (await connect("s1", to(await start(), { privateKey: spoilt }))).query(sh`echo in`)).stdout).toBe(
      "in\n",
    );
  });
});

describe("host keys", () => {
  test("an unknown one is refused with its fingerprint and the line to add, once", async () => {
    const server = await start();
    await expect(connect("s1", to(server, { knownHosts: "", dialErrorLimit: 3 }))).rejects.toMatchObject({
      code: "HOST_KEY_UNKNOWN",
      message: expect.stringMatching(/shows ssh-ed25519 SHA256:[\w+/]{43}/) as string,
      hint: expect.stringContaining(server.knownHosts) as string,
    });
    expect(server.dials()).toBe(1);
    expect(server.commands).toEqual([]);
  });

  test("a changed one is refused with both fingerprints, also where new ones are accepted", async () => {
    const server = await start();
    const other = publicLine(generateKey().private);
    for (const known of [{ hostKey: other }, { knownHosts: `[127.0.0.1]:${server.port} ${other}` }]) {
      await expect(connect("s1", to(server, { ...known, acceptNewHostKey: true }))).rejects.toMatchObject({
        code: "HOST_KEY_MISMATCH",
        message: expect.stringMatching(/SHA256:\S+, known is ssh-ed25519 SHA256:/) as string,
      });
    }
  });

  test("a new one is accepted when asked, and then no other", async () => {
    const server = await start();
    const connection = to(server, { knownHosts: "", acceptNewHostKey: true });
    await connect("s1", connection);
    await closeConnections();
    await server.stop();
    const impostor = await startSshServer({
      publicKeys: [user.public],
      hostKeys: [generateKey().private],
      port: server.port,
    });
    servers.push(impostor);
    await expect(connect("s1", connection)).rejects.toMatchObject({ code: "HOST_KEY_MISMATCH" });
  });

  test("the server is asked for the kind of key that is known", async () => {
    const rsa = generateKey("rsa");
    const server = await start({ hostKeys: [generateKey().private, rsa.private] });
    await connect("s1", to(server, { hostKey: publicLine(rsa.private) }));
    expect(server.hostKeyAlgorithms).toEqual(["rsa-sha2-512"]);
  });

  test("a server that has no key of the known kind is not the known one", async () => {
    const server = await start();
    await expect(
      connect("s1", to(server, { hostKey: publicLine(generateKey("rsa").private), dialErrorLimit: 3 })),
    ).rejects.toMatchObject({
      code: "HOST_KEY_MISMATCH",
      message: expect.stringMatching(/shows ssh-ed25519 SHA256:\S+, known is ssh-rsa SHA256:/) as string,
    });
  });
});

describe("a bastion", () => {
  test("is gone through, with its own host key checked", async () => {
    const bastion = await start();
    const server = await start();
    const proxy = to(bastion);
    const host = await connect("s1", to(server, { proxy }));
    expect((await host.query(sh`echo behind`)).stdout).toBe("behind\n");
    expect(bastion.commands).toEqual([]);
    await closeConnections();
    await expect(connect("s1", to(server, { proxy: { ...proxy, knownHosts: "" } }))).rejects.toMatchObject({
      code: "HOST_KEY_UNKNOWN",
      message: expect.stringContaining(`s1: the bastion 127.0.0.1:${bastion.port}: the host key`) as string,
    });
  });

  test("that cannot reach the server says so", async () => {
    const bastion = await start();
    const server = await start();
    await server.stop();
    await expect(connect("s1", to(server, { proxy: to(bastion) }))).rejects.toMatchObject({
      code: "HOST_UNREACHABLE",
      message: expect.stringContaining(`the bastion 127.0.0.1:${bastion.port}: nothing answers`) as string,
    });
  });

  test("that lets nobody through is named, with the setting", async () => {
    const bastion = await start({ allowTcpForwarding: false });
    await expect(connect("s1", to(await start(), { proxy: to(bastion) }))).rejects.toMatchObject({
      code: "TUNNEL_REFUSED",
      message: expect.stringContaining(`s1: the bastion 127.0.0.1:${bastion.port}: sshd does not let us`) as string,
    });
  });

  test("is one connection for all the servers behind it", async () => {
    const bastion = await start();
    const behind = await Promise.all([start(), start(), start()]);
    const hosts = await Promise.all(behind.map((server, i) => connect(`s${i}`, to(server, { proxy: to(bastion) }))));
    await Promise.all(hosts.map((host) => host.query(sh`true`)));
    expect(bastion.dials()).toBe(1);
  });
});

describe("tunnels", () => {
  test("reach what the server reaches, through a socket of ours alone", async () => {
    const echo = createServer((socket) => void socket.pipe(socket));
    const port = await new Promise<number>((resolve) =>
      echo.listen(0, "127.0.0.1", () => resolve((echo.address() as { port: number }).port)),
    );
    const host = await connect("s1", to(await start()));
    const tunnel = await host.openTunnel("127.0.0.1", port);
    const path = tunnel.address.replace(/^unix:/, "");
    expect(statSync(join(path, "..")).mode & 0o777).toBe(0o700);

    const socket = connectSocket(path);
    socket.write("ping");
    expect(await new Promise((resolve) => socket.once("data", (data) => resolve(String(data))))).toBe("ping");
    await tunnel.close();
    expect(() => statSync(join(path, ".."))).toThrow(/ENOENT/);
    echo.close();
  });

  test("forbidden by sshd, the error says which setting", async () => {
    const host = await connect("s1", to(await start({ allowTcpForwarding: false })));
    await expect(host.openTunnel("127.0.0.1", 1)).rejects.toMatchObject({
      code: "TUNNEL_REFUSED",
      hint: expect.stringContaining("AllowTcpForwarding") as string,
    });
  });
});

async function until(condition: () => boolean): Promise<void> {
  for (const deadline = Date.now() + 10_000; !condition();) {
    if (Date.now() > deadline) throw new Error("it did not happen within 10 s");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** A process that has ended but was not waited for does not run any more. */
function isRunning(pid: string): boolean {
  try {
    return !/^\d+ \(.*\) [ZX]/.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}
