import { connect as connectTcp } from "node:net";
import type { Duplex } from "node:stream";
import type { Algorithms, Client } from "ssh2";
import type { ProxyConnection } from "../model";
import { type Credentials, readCredentials } from "./credentials";
import { DialError, messageOf } from "./dial-error";
import { loadSsh2 } from "./heavy-modules";
import { type HostKeyCheck, hostKeyCheck } from "./host-key";
import { publicKeyOf } from "./known-hosts";

/** Connects and authenticates, again and again as far as `dialErrorLimit` allows. What cannot become better is not tried twice. */
export async function dial(connection: ProxyConnection, openSocket: OpenSocket = openTcp): Promise<Client> {
  const { host, port = 22, dialErrorLimit = 10 } = connection;
  if (host === undefined || host === "") throw new DialError("INVALID_INPUT", "connection.host is missing");
  const target = { ...connection, host, port };
  let check = await hostKeyCheck(target);
  for (let failures = 0; ;) {
    const credentials = readCredentials(connection);
    try {
      return await dialOnce(target, check, credentials, openSocket);
    } catch (error) {
      if (check.algorithms !== undefined && isKeyKindMissing(error)) {
        // The server has none of the keys we know: ask which it has, so that the refusal can name it.
        check = { ...check, algorithms: undefined };
        continue;
      }
      if (error instanceof DialError) throw error;
      failures += 1;
      if (dialErrorLimit >= 0 && failures > dialErrorLimit) throw unreachable(`${host}:${port}`, failures, error);
      await pause(backOffMs(failures));
    }
  }
}

/** Opens the byte stream that SSH runs over. Stops trying when the signal says so. */
export type OpenSocket = (host: string, port: number, signal: AbortSignal) => Promise<Duplex>;

type Target = ProxyConnection & { readonly host: string; readonly port: number };

async function dialOnce(target: Target, check: HostKeyCheck, credentials: Credentials, openSocket: OpenSocket) {
  const seconds = target.perDialTimeout ?? 15;
  const abort = new AbortController();
  const timer =
    seconds > 0
      ? setTimeout(() => abort.abort(new Error(`no connection within ${seconds} s`)), seconds * 1000)
      : undefined;
  try {
    const socket = await openSocket(target.host, target.port, abort.signal);
    return await handshake(socket, target, check, credentials, abort.signal);
  } finally {
    clearTimeout(timer);
  }
}

function openTcp(host: string, port: number, signal: AbortSignal): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const socket = connectTcp({ host, port, noDelay: true });
    const giveUp = () => {
      socket.destroy();
      reject(signal.reason as Error);
    };
    signal.addEventListener("abort", giveUp, { once: true });
    socket.once("error", reject);
    socket.once("connect", () => {
      signal.removeEventListener("abort", giveUp);
      socket.off("error", reject);
      resolve(socket);
    });
  });
}

function handshake(
  socket: Duplex,
  target: Target,
  check: HostKeyCheck,
  credentials: Credentials,
  signal: AbortSignal,
): Promise<Client> {
  const { Client } = loadSsh2();
  const client = new Client();
  const tried: string[] = [];
  let refused: DialError | undefined;
  const waiting = credentials.methods.slice();

  return new Promise((resolve, reject) => {
    const fail = (error: Error) => {
      signal.removeEventListener("abort", giveUp);
      // ssh2 may have more to say about the same failure; an error nobody listens to would end the process.
      client.on("error", () => undefined);
      socket.on("error", () => undefined);
      client.destroy();
      socket.destroy();
      reject(refused ?? error);
    };
    const giveUp = () => fail(signal.reason as Error);
    if (signal.aborted) return giveUp();
    signal.addEventListener("abort", giveUp, { once: true });
    client.once("error", (error) => fail(explain(error, target, tried)));
    client.once("close", () => fail(new Error("the server closed the connection")));
    client.once("ready", () => {
      signal.removeEventListener("abort", giveUp);
      client.removeAllListeners("error").removeAllListeners("close");
      resolve(client);
    });
    client.connect({
      sock: socket,
      username: target.user ?? "root",
      readyTimeout: 0,
      keepaliveInterval: 10_000,
      keepaliveCountMax: 3,
      ...(check.algorithms === undefined ? {} : { algorithms: offering(check.algorithms) }),
      hostVerifier: (blob: Buffer) => {
        const key = publicKeyOf(blob);
        refused =
          key === undefined
            ? new DialError("HOST_KEY_MISMATCH", "the server's host key cannot be read")
            : check.refuse(key);
        return refused === undefined;
      },
      authHandler: (left, _partial, next) => {
        // `left` is null before the first attempt; then it is what the server still takes.
        const allowed = left as readonly string[] | null;
        const method = waiting.find(
          (m) => allowed === null || allowed.includes(m.type === "agent" ? "publickey" : m.type),
        );
        if (method === undefined) return next(false as never);
        waiting.splice(waiting.indexOf(method), 1);
        tried.push(method.type);
        next(method);
      },
    });
  });
}

function offering(algorithms: readonly string[]): Algorithms {
  return { serverHostKey: algorithms as NonNullable<Algorithms["serverHostKey"]> & [] };
}

function explain(error: Error & { level?: string }, target: Target, tried: readonly string[]): Error {
  const address = `${target.host}:${target.port}`;
  const user = target.user ?? "root";
  if (error.level === "client-authentication" || /authentication fail/i.test(error.message)) {
    return new DialError(
      "AUTH_REJECTED",
      `${address} rejected user ${user} (tried: ${[...new Set(tried)].join(", ")})`,
      {
        hint: "Check connection.user and its credential, and that the server takes it (its log says why it did not).",
        cause: error,
      },
    );
  }
  if (/no matching/.test(error.message)) {
    return new DialError("HOST_UNREACHABLE", `${address}: ${error.message}`, { cause: error });
  }
  return error;
}

function isKeyKindMissing(error: unknown): boolean {
  return /no matching host key format/.test(messageOf(error));
}

function unreachable(address: string, attempts: number, cause: unknown): DialError {
  const last = messageOf(cause);
  const times = attempts === 1 ? "1 attempt" : `${attempts} attempts`;
  return new DialError("HOST_UNREACHABLE", `no connection to ${address} after ${times}: ${last}`, {
    hint: "Check the address, the firewall, and that sshd runs there.",
    cause,
  });
}

function backOffMs(failures: number): number {
  return Math.min(5_000, 250 * 2 ** failures) * (0.5 + Math.random() / 2);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
