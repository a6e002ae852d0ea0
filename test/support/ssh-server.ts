import { spawn } from "node:child_process";
import { connect, createServer, type Socket } from "node:net";
import {
  type AuthContext,
  type Connection,
  type ParsedKey,
  Server,
  type ServerChannel,
  type Session,
  utils,
} from "ssh2";
import { publicKeyOf } from "../../provider/transport/known-hosts";
import type { Gauge } from "./gauge";
import { type AnswerScript, answerScript } from "./script-channel";

export interface SshServerOptions {
  /** Users' public keys that are let in. */
  readonly publicKeys?: readonly string[];
  readonly password?: string;
  /** Ask for the password by keyboard-interactive instead of taking it directly. */
  readonly keyboardInteractive?: boolean;
  readonly hostKeys?: readonly string[];
  /** Environment of the commands, over PATH and HOME of this process. */
  readonly env?: Readonly<Record<string, string>>;
  /** The user's login shell. @default "/bin/sh" */
  readonly shell?: string;
  /** As sshd's AllowTcpForwarding. @default true */
  readonly allowTcpForwarding?: boolean;
  /** As sshd's MaxSessions. @default 10 */
  readonly maxSessions?: number;
  /** This many TCP connections are closed at once, without a word. */
  readonly dropFirst?: number;
  /** @default a free one */
  readonly port?: number;
  /** Waits this long before it says anything. */
  readonly bannerDelayMs?: number;
  /** Answers scripts instead of running what it is asked to. */
  readonly answer?: AnswerScript;
  /** Counts connections that are being made, and commands that run: several servers may share them. */
  readonly logins?: Gauge;
  readonly running?: Gauge;
}

/** An SSH server in this process that really runs what it is asked to, and remembers it. */
export interface TestSshServer {
  readonly port: number;
  /** The line that makes it known. */
  readonly knownHosts: string;
  /** Every command line, as the login shell got it. */
  readonly commands: readonly string[];
  /** TCP connections made so far, dropped ones too. */
  readonly dials: () => number;
  /** The host-key algorithm that each connection agreed on. */
  readonly hostKeyAlgorithms: readonly string[];
  /** Cuts every connection, as a server does that loses power. */
  cut(): void;
  /** Takes no new connections from now on. */
  close(): void;
  stop(): Promise<void>;
}

export interface KeyPair {
  readonly private: string;
  readonly public: string;
}

export function generateKey(type: "ed25519" | "rsa" = "ed25519", passphrase?: string): KeyPair {
  if (type === "rsa") return utils.generateKeyPairSync("rsa", { bits: 2048 });
  // Of ssh2's own ed25519 keys a few in a thousand are malformed.
  for (;;) {
    const pair =
      passphrase === undefined
        ? utils.generateKeyPairSync("ed25519")
        : utils.generateKeyPairSync("ed25519", { passphrase, cipher: "aes256-ctr", rounds: 4 });
    if (!(utils.parseKey(pair.private, passphrase) instanceof Error)) return pair;
  }
}

const defaultHostKey = generateKey();

export async function startSshServer(options: SshServerOptions = {}): Promise<TestSshServer> {
  const hostKeys = options.hostKeys ?? [defaultHostKey.private];
  const commands: string[] = [];
  const hostKeyAlgorithms: string[] = [];
  const sockets = new Set<Socket>();
  let dials = 0;
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  const ssh = new Server({ hostKeys: [...hostKeys] }, (client) => {
    client.on("handshake", (negotiated) => hostKeyAlgorithms.push(negotiated.serverHostKey));
    countLogin(client, options.logins);
    serve(client, options, commands, cut);
  });

  const tcp = createServer((socket) => {
    dials += 1;
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.once("close", () => sockets.delete(socket));
    if (dials <= (options.dropFirst ?? 0)) return socket.destroy();
    setTimeout(() => {
      if (!socket.destroyed) ssh.injectSocket(socket);
    }, options.bannerDelayMs ?? 0).unref();
  });
  await new Promise<void>((resolve) => tcp.listen(options.port ?? 0, "127.0.0.1", resolve));
  const address = tcp.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return {
    port,
    knownHosts: hostKeys.map((key) => `[127.0.0.1]:${port} ${publicLine(key)}`).join("\n"),
    commands,
    dials: () => dials,
    hostKeyAlgorithms,
    cut,
    close: () => void tcp.close(),
    stop: async () => {
      cut();
      if (tcp.listening) await new Promise((resolve) => tcp.close(resolve));
    },
  };
}

/** `ssh-ed25519 AAAA…` of a private key. */
export function publicLine(privateKey: string): string {
  const blob = parsed(privateKey).getPublicSSH();
  return `${publicKeyOf(blob)?.type ?? ""} ${blob.toString("base64")}`;
}

function parsed(key: string): ParsedKey {
  const result: unknown = utils.parseKey(key);
  const first: unknown = Array.isArray(result) ? result[0] : result;
  if (first instanceof Error) throw first;
  return first as ParsedKey;
}

function countLogin(client: Connection, logins: Gauge | undefined): void {
  if (logins === undefined) return;
  let counted = true;
  logins.enter();
  const leave = (): void => {
    if (counted) logins.leave();
    counted = false;
  };
  client.once("ready", leave);
  client.once("close", leave);
}

function serve(client: Connection, options: SshServerOptions, commands: string[], cut: () => void): void {
  let sessions = 0;
  client.on("error", () => undefined);
  client.on("authentication", (context) => authenticate(context, options));
  client.on("session", (accept, reject) => {
    if (sessions >= (options.maxSessions ?? 10)) return reject();
    sessions += 1;
    const session = accept();
    session.once("close", () => {
      sessions -= 1;
    });
    serveSession(session, options, commands, cut);
  });
  // Without a listener ssh2 answers as sshd does: administratively prohibited.
  if (options.allowTcpForwarding === false) return;
  client.on("tcpip", (accept, reject, info) => {
    const socket = connect(info.destPort, info.destIP);
    socket.once("error", () => reject());
    socket.once("connect", () => {
      const stream = accept();
      socket.on("error", () => stream.destroy());
      stream.on("error", () => socket.destroy());
      socket.pipe(stream).pipe(socket);
      socket.once("close", () => stream.destroy());
      stream.once("close", () => socket.destroy());
    });
  });
}

function authenticate(context: AuthContext, options: SshServerOptions): void {
  if (context.method === "publickey") {
    const known = (options.publicKeys ?? []).map((key) => parsed(key));
    const key = known.find((k) => k.getPublicSSH().equals(context.key.data));
    if (key === undefined) return context.reject(methodsOf(options));
    const { signature, blob } = context;
    if (signature === undefined || blob === undefined) return context.accept();
    return key.verify(blob, signature, context.hashAlgo) === true ? context.accept() : context.reject();
  }
  if (context.method === "password" && options.keyboardInteractive !== true) {
    return context.password === options.password ? context.accept() : context.reject(methodsOf(options));
  }
  if (context.method === "keyboard-interactive" && options.keyboardInteractive === true) {
    return context.prompt([{ prompt: "Password: ", echo: false }], (answers) => {
      if (answers[0] === options.password) context.accept();
      else context.reject(methodsOf(options));
    });
  }
  context.reject(methodsOf(options));
}

function methodsOf(options: SshServerOptions): ("publickey" | "password" | "keyboard-interactive")[] {
  if (options.password === undefined) return ["publickey"];
  return ["publickey", options.keyboardInteractive === true ? "keyboard-interactive" : "password"];
}

function serveSession(session: Session, options: SshServerOptions, commands: string[], cut: () => void): void {
  let pty = false;
  session.on("pty", (accept) => {
    pty = true;
    accept();
  });
  session.on("exec", (accept, _reject, info) => {
    commands.push(info.command);
    const channel = accept();
    options.running?.enter();
    channel.once("close", () => options.running?.leave());
    if (options.answer === undefined) runCommand(channel, info.command, pty, options);
    else answerScript(channel, info.command, options.answer, cut);
  });
}

function runCommand(channel: ServerChannel, command: string, pty: boolean, options: SshServerOptions): void {
  const env = { PATH: process.env["PATH"], HOME: process.env["HOME"], ...options.env };
  const shell = options.shell ?? "/bin/sh";
  // `script` gives the command a real terminal, as sshd does for a session that asked for one.
  const [file, args] = pty ? ["script", ["-qefc", command, "/dev/null"]] : [shell, ["-c", command]];
  // Without a terminal of its own, as under sshd; this process may have one.
  const child = spawn(file, args, { env: pty ? { ...env, SHELL: shell } : env, detached: true });
  channel.pipe(child.stdin);
  child.stdin.on("error", () => undefined);
  child.stdout.pipe(channel, { end: false });
  child.stderr.pipe(channel.stderr, { end: false });
  channel.on("error", () => undefined);
  // sshd closes the pipes when the client is gone; what runs meets that, or its own deadline.
  channel.once("close", () => {
    child.stdin.destroy();
    child.stdout.destroy();
    child.stderr.destroy();
  });
  child.once("error", (error) => channel.stderr.write(error.message));
  child.once("close", (code, signal) => {
    if (code === null) channel.exit((signal ?? "SIGTERM").replace(/^SIG/, ""), false, "");
    else channel.exit(code);
    channel.end();
  });
}
