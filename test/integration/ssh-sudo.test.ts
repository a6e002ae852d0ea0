import { mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ConnectedHost } from "../../provider/transport/connect";
import { closeConnections, connect, connectionCounts, pipeFile } from "../../provider/transport/connect";
import { secret, sh } from "../../provider/transport/shell";
import { fakeSudo, type FakeSudoOptions } from "../support/fake-sudo";
import { generateKey, startSshServer, type TestSshServer } from "../support/ssh-server";

const user = generateKey();
const servers: TestSshServer[] = [];
const folder = mkdtempSync(join(tmpdir(), "sudo-test-"));

afterEach(async () => {
  await closeConnections();
  await Promise.all(servers.splice(0).map((server) => server.stop()));
});

/** A server where the user is not root, and the folder that is the user's home. */
async function start(
  sudo: FakeSudoOptions,
  sudoPassword?: string,
  name = "s1",
): Promise<{ host: ConnectedHost; home: string; server: TestSshServer }> {
  const home = mkdtempSync(join(folder, "home-"));
  const env = {
    PATH: `${fakeSudo(sudo)}:${process.env["PATH"] ?? ""}`,
    HOME: home,
    XDG_RUNTIME_DIR: "",
    LC_ALL: "de_DE.UTF-8",
  };
  const server = await startSshServer({ publicKeys: [user.public], env });
  servers.push(server);
  const host = await connect(name, {
    host: "127.0.0.1",
    port: server.port,
    user: "ubuntu",
    privateKey: user.private,
    knownHosts: server.knownHosts,
    ...(sudoPassword === undefined ? {} : { sudoPassword }),
  });
  return { host, home, server };
}

const cases: [string, FakeSudoOptions, string | undefined][] = [
  ["without password", {}, undefined],
  ["with a password", { password: "s3cret pass'word" }, "s3cret pass'word"],
  ["with a password that nobody asks for", {}, "not needed"],
  ["on a terminal, without password", { requiretty: true }, undefined],
  ["on a terminal, with a password", { requiretty: true, password: "s3cret pass'word" }, "s3cret pass'word"],
];

describe.each(cases)("sudo %s", (_, sudo, sudoPassword) => {
  if (sudo.password?.includes("'") === true) sudo = { ...sudo, password: sudo.password.replaceAll("'", `'\\''`) };

  test("output, errors, input and exit codes are the script's own", async () => {
    const { host } = await start(sudo, sudoPassword);
    expect(
      await host.query(sh`echo "$SUDO_USED:$LC_ALL"; cat; printf 'oops\n' >&2`, { stdin: "one\r\ntwo\n" }),
    ).toEqual({
      stdout: "1:C\none\r\ntwo\n",
      stderr: "oops\n",
    });
    await expect(host.run(sh`echo because >&2; exit 7`)).rejects.toMatchObject({ exitCode: 7, stderr: "because\n" });
  });

  test("nothing secret stands in a command line or stays in a file", async () => {
    const { host, home, server } = await start(sudo, sudoPassword);
    await host.run(sh`: ${secret("hunter2")}`);
    await expect(host.run(sh`: ${secret("hunter2")}; false`)).rejects.toThrow();
    expect(server.commands.join("\n")).not.toMatch(/hunter2|s3cret|not needed/);
    expect(readdirSync(home)).toEqual([]);
  });

  test("files are written, read and copied as bytes", async () => {
    const { host, home } = await start(sudo, sudoPassword);
    const path = join(folder, "written");
    await host.writeFile(path, "content\n", { mode: 0o600 });
    expect(await host.readFile(path)).toBe("content\n");
    const bytes = Buffer.alloc(300_000, Buffer.from(Array.from({ length: 256 }, (_, i) => i)));
    writeFileSync(join(folder, "bytes"), bytes);
    expect(Buffer.from(await host.readRange(join(folder, "bytes"), 100, 1000)).equals(bytes.subarray(100, 1100))).toBe(
      true,
    );
    await pipeFile(host, join(folder, "bytes"), host, join(folder, "copy"));
    expect(readFileSync(join(folder, "copy")).equals(bytes)).toBe(true);
    expect(statSync(join(folder, "copy")).mode & 0o777).toBe(0o600);
    expect(readdirSync(home)).toEqual([]);
  });

  test("the deadline holds", async () => {
    const { host, home } = await start(sudo, sudoPassword);
    await expect(host.run(sh`sleep 60`, { timeoutMs: 1000 })).rejects.toMatchObject({ code: "COMMAND_TIMED_OUT" });
    expect(readdirSync(home)).toEqual([]);
  });
});

test("one command is one round trip, and where sudo wants a terminal that is found out once", async () => {
  const { host } = await start({}, undefined, "plain");
  await host.query(sh`true`);
  expect(connectionCounts().get("plain")).toEqual({ commands: 1, tunnels: 0 });
  const { host: strict } = await start({ requiretty: true }, undefined, "strict");
  await strict.query(sh`true`);
  const first = connectionCounts().get("strict")?.commands ?? 0;
  await strict.query(sh`true`);
  expect([first, connectionCounts().get("strict")?.commands]).toEqual([4, 7]);
});

describe.each([false, true])("refusals (on a terminal: %s)", (requiretty) => {
  test.each([1, 3])("a wrong password is said once, asked %s times or not", async (tries) => {
    const { host, home } = await start({ password: "right", requiretty, tries }, "wrong horse");
    const error = await host.run(sh`touch ${join(folder, "never")}`).catch((e: unknown) => e);
    expect(error).toMatchObject({
      code: "SUDO_REFUSED",
      message: expect.stringMatching(/^s1: wrong sudo password/) as string,
    });
    expect(String(error)).not.toContain("wrong horse");
    expect(statSync(join(folder, "never"), { throwIfNoEntry: false })).toBeUndefined();
    expect(readdirSync(home)).toEqual([]);
  });

  test("no password where one is needed: the hint names both remedies", async () => {
    const { host } = await start({ password: "right", requiretty });
    await expect(host.run(sh`true`)).rejects.toMatchObject({
      code: "SUDO_REFUSED",
      message: expect.stringContaining("sudo: a password is required") as string,
      hint: expect.stringMatching(/sudoPassword.*NOPASSWD/) as string,
    });
  });
});
