import type { Duplex } from "node:stream";
import type { Client, ClientChannel } from "ssh2";
import type { Connection } from "../model";
import { type Channel, type Ending, type Machine, PortClosedError } from "./channel";
import { dial, type OpenSocket } from "./dial";
import { DialError, messageOf } from "./dial-error";
import { loginShellLine } from "./loader";

/** A machine behind one SSH connection: made on first use, closed when idle, made again when it broke. */
export class SshMachine implements Machine {
  readonly isRoot: boolean;
  private readonly connection: Connection;
  private readonly bastion: SshMachine | undefined;
  private client: Promise<Client> | undefined;
  private users = 0;
  private idleTimer: NodeJS.Timeout | undefined;
  private sessions = 0;
  private sessionLimit = SESSION_LIMIT;
  private readonly waiting: (() => void)[] = [];

  constructor(connection: Connection, bastion: SshMachine | undefined) {
    this.connection = connection;
    this.bastion = bastion;
    this.isRoot = (connection.user ?? "root") === "root";
  }

  /** Makes sure that the connection stands. */
  async ready(): Promise<void> {
    const release = this.hold();
    await this.connected().finally(release);
  }

  async launch(argv: readonly string[], options: { readonly pty?: boolean } = {}): Promise<Channel> {
    const release = this.hold();
    try {
      const channel = await this.openSession(loginShellLine(argv), options.pty === true);
      const ended = endingOf(channel);
      void ended.finally(() => {
        this.giveSession();
        release();
      });
      return { stdin: channel, stdout: channel, stderr: channel.stderr, ended, abandon: () => abandon(channel) };
    } catch (error) {
      release();
      throw error;
    }
  }

  async openStream(host: string, port: number): Promise<Duplex> {
    const release = this.hold();
    try {
      const stream = await this.open((client) => forwardTo(client, host, port));
      stream.once("close", release);
      return stream;
    } catch (error) {
      release();
      throw error;
    }
  }

  /** Ends the connection; the next use makes a new one. */
  async close(): Promise<void> {
    clearTimeout(this.idleTimer);
    const client = this.client;
    this.client = undefined;
    if (client === undefined) return;
    const open = await client.catch(() => undefined);
    if (open === undefined) return;
    await new Promise<void>((resolve) => {
      open.once("close", () => resolve());
      open.end();
      // A server that does not answer must not hold us.
      setTimeout(() => {
        open.destroy();
        resolve();
      }, 1_000).unref();
    });
  }

  /** Opens a channel; once more on a fresh connection when the old one turns out to be dead before the channel was open. */
  private async open<T>(open: (client: Client) => Promise<T>): Promise<T> {
    const connected = this.connected();
    const client = await connected;
    try {
      return await open(client);
    } catch (error) {
      if (this.client === connected) throw error;
      return await open(await this.connected());
    }
  }

  private async openSession(line: string, pty: boolean): Promise<ClientChannel> {
    for (;;) {
      await this.takeSession();
      try {
        return await this.open((client) => execChannel(client, line, pty));
      } catch (error) {
        this.giveSession();
        // sshd's MaxSessions is lower than we thought: wait until one of the others has ended.
        if (!isOpenFailure(error) || this.sessions === 0) throw error;
        this.sessionLimit = this.sessions;
      }
    }
  }

  /** Keeps the connection until released. */
  private hold(): () => void {
    this.users += 1;
    clearTimeout(this.idleTimer);
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.users -= 1;
      if (this.users === 0 && this.client !== undefined) this.idleTimer = setTimeout(() => void this.close(), IDLE_MS);
    };
  }

  private connected(): Promise<Client> {
    this.client ??= this.dialNow();
    return this.client;
  }

  private dialNow(): Promise<Client> {
    const dialled = this.dialThroughBastion().then((client) => {
      const forget = () => {
        if (this.client === dialled) this.client = undefined;
      };
      client.on("error", forget);
      client.on("end", forget);
      client.on("close", forget);
      return client;
    });
    dialled.catch(() => {
      if (this.client === dialled) this.client = undefined;
    });
    return dialled;
  }

  private async dialThroughBastion(): Promise<Client> {
    const { bastion } = this;
    if (bastion === undefined) return dial(this.connection);
    const address = `${bastion.connection.host ?? ""}:${bastion.connection.port ?? 22}`;
    const ofBastion = (error: unknown): Error =>
      error instanceof DialError
        ? error.ofBastion(address)
        : new Error(`the bastion ${address}: ${messageOf(error)}`, { cause: error });
    // It has its own patience: what it needs to be reached is not taken from the server's.
    await bastion.ready().catch((error: unknown) => {
      throw ofBastion(error);
    });
    const through: OpenSocket = (host, port, signal) =>
      new Promise((resolve, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
        bastion.openStream(host, port).then(
          (stream) => {
            if (signal.aborted) stream.destroy();
            else resolve(stream);
          },
          (error: unknown) => reject(ofBastion(error)),
        );
      });
    return dial(this.connection, through);
  }

  private async takeSession(): Promise<void> {
    while (this.sessions >= this.sessionLimit) await new Promise<void>((resolve) => this.waiting.push(resolve));
    this.sessions += 1;
  }

  private giveSession(): void {
    this.sessions -= 1;
    this.waiting.shift()?.();
  }
}

const IDLE_MS = 30_000;
/** OpenSSH allows ten sessions on a connection unless told otherwise. */
const SESSION_LIMIT = 8;

function execChannel(client: Client, line: string, pty: boolean): Promise<ClientChannel> {
  return new Promise((resolve, reject) => {
    client.exec(line, pty ? { pty: { term: "dumb" } } : {}, (error, channel) => {
      if (error) reject(error);
      else resolve(channel);
    });
  });
}

function endingOf(channel: ClientChannel): Promise<Ending> {
  const complaintsRead = new Promise<void>((resolve) => channel.stderr.once("close", resolve));
  const closed = new Promise<Ending>((resolve) => {
    channel.once("close", (code: number | null | undefined, signal: string | undefined) => {
      if (typeof code === "number") resolve({ kind: "exit", code });
      else if (typeof signal === "string") resolve({ kind: "signal", signal });
      else resolve({ kind: "lost" });
    });
  });
  return Promise.all([closed, complaintsRead]).then(([ending]) => ending);
}

function abandon(channel: ClientChannel): void {
  // Unread output would hold back the end of the channel.
  channel.removeAllListeners("data");
  channel.stderr.removeAllListeners("data");
  channel.resume();
  channel.stderr.resume();
  channel.close();
}

function forwardTo(client: Client, host: string, port: number): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    client.forwardOut("127.0.0.1", 0, host, port, (error, channel) => {
      if (!error) resolve(channel);
      else reject(explainForward(error, host, port));
    });
  });
}

function explainForward(error: Error & { reason?: unknown }, host: string, port: number): Error {
  if (error.reason === ADMINISTRATIVELY_PROHIBITED) {
    return new DialError("TUNNEL_REFUSED", `sshd does not let us through to ${host}:${port}`, {
      hint: "Set AllowTcpForwarding to yes or local for this user in sshd_config.",
      cause: error,
    });
  }
  if (error.reason === CONNECT_FAILED) {
    return new PortClosedError(host, port, error);
  }
  return error;
}

const ADMINISTRATIVELY_PROHIBITED = 1;
const CONNECT_FAILED = 2;

function isOpenFailure(error: unknown): boolean {
  return error instanceof Error && "reason" in error;
}
