import { spawn } from "node:child_process";
import { connect } from "node:net";
import type { Duplex } from "node:stream";
import { DialError } from "./dial-error";
import { type Channel, type Ending, type Machine, PortClosedError } from "./channel";

/** The machine that this process runs on. */
export const localMachine: Machine = {
  isRoot: process.getuid?.() === 0,
  launch,
  openStream,
};

function launch(argv: readonly string[], options: { readonly pty?: boolean } = {}): Promise<Channel> {
  if (options.pty === true)
    throw new DialError("SUDO_REFUSED", "sudo wants a terminal (requiretty), and on this machine there is none", {
      hint: "Remove requiretty from sudoers for this user, or run Pulumi as root.",
    });
  return new Promise((resolve, reject) => {
    const [file = "", ...words] = argv;
    const child = spawn(file, words, { stdio: ["pipe", "pipe", "pipe"], env: plainEnvironment() });
    child.once("error", reject);
    const ended = new Promise<Ending>((resolveEnding) => {
      child.once("close", (code, signal) => {
        resolveEnding(code === null ? { kind: "signal", signal: signal ?? "" } : { kind: "exit", code });
      });
    });
    child.once("spawn", () => {
      resolve({
        stdin: child.stdin,
        stdout: child.stdout,
        stderr: child.stderr,
        ended,
        abandon: () => {
          child.stdin.destroy();
          child.stdout.destroy();
          child.stderr.destroy();
          child.kill("SIGTERM");
        },
      });
    });
  });
}

function openStream(host: string, port: number): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, noDelay: true });
    socket.once("error", (error) => reject(new PortClosedError(host, port, error)));
    socket.once("connect", () => resolve(socket));
  });
}

/** Pulumi's environment holds secrets that a command has no business with. */
function plainEnvironment(): NodeJS.ProcessEnv {
  const names = ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "XDG_RUNTIME_DIR"];
  return Object.fromEntries(
    names.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
  );
}
