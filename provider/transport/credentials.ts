import type { AnyAuthMethod } from "ssh2";
import type { ProxyConnection } from "../model";
import { DialError } from "./dial-error";
import { loadSsh2 } from "./heavy-modules";

/** The ways to prove who we are, in the order in which they are tried. */
export interface Credentials {
  readonly methods: readonly AnyAuthMethod[];
}

/** Collects them, and refuses before anything is dialled when there is none or the key cannot be read. */
export function readCredentials(connection: ProxyConnection): Credentials {
  const username = connection.user ?? "root";
  const { privateKey, password } = connection;
  const methods: AnyAuthMethod[] = [];
  if (privateKey !== undefined) methods.push(keyMethod(username, privateKey, connection.privateKeyPassword));
  const agent =
    connection.agentSocketPath ??
    // The user's own agent is for those who give no credential: its many keys could use up the attempts a server allows.
    (privateKey === undefined && password === undefined ? process.env["SSH_AUTH_SOCK"] : undefined);
  if (agent !== undefined && agent !== "") methods.push({ type: "agent", username, agent });
  if (password !== undefined) {
    methods.push({ type: "password", username, password }, keyboardMethod(username, password));
  }
  if (methods.length === 0) {
    throw new DialError("AUTH_REJECTED", "there is no credential to connect with", {
      hint: "Give connection.privateKey, password or agentSocketPath, or start an SSH agent.",
    });
  }
  return { methods };
}

function keyMethod(username: string, text: string, passphrase: string | undefined): AnyAuthMethod {
  const { utils } = loadSsh2();
  // Configuration systems like to lose the last line end, or to add carriage returns.
  const key = `${text.replaceAll("\r\n", "\n").trim()}\n`;
  const parsed: unknown = utils.parseKey(key, passphrase);
  if (parsed instanceof Error) {
    throw new DialError("INVALID_INPUT", `privateKey cannot be read: ${whyUnreadable(parsed.message, passphrase)}`, {
      hint: "It is the text of a private key (PEM or OpenSSH), not a path; privateKeyPassword is its passphrase.",
    });
  }
  const method = { type: "publickey", username, key, ...(passphrase === undefined ? {} : { passphrase }) } as const;
  const first: unknown = Array.isArray(parsed) ? parsed[0] : parsed;
  if (isKey(first) && first.isPrivateKey()) return method;
  throw new DialError("INVALID_INPUT", "privateKey holds a public key", {
    hint: "Give the private half: the file without .pub.",
  });
}

function isKey(value: unknown): value is { isPrivateKey(): boolean } {
  return typeof value === "object" && value !== null && "isPrivateKey" in value;
}

function whyUnreadable(message: string, passphrase: string | undefined): string {
  if (/no passphrase given/i.test(message)) return "it is encrypted and there is no privateKeyPassword";
  return passphrase === undefined ? message : `${message} (is privateKeyPassword right?)`;
}

function keyboardMethod(username: string, password: string): AnyAuthMethod {
  let answered = false;
  return {
    type: "keyboard-interactive",
    username,
    prompt: (_name, _instructions, _lang, prompts, finish) => {
      // The one question a password answers is the one that does not echo; asked again, the answer was wrong.
      const hidden = prompts.filter((p) => p.echo !== true).length === 1 && !answered;
      answered ||= prompts.length > 0;
      finish(prompts.map((p) => (hidden && p.echo !== true ? password : "")));
    },
  };
}
