import { randomBytes } from "node:crypto";
import type { Machine } from "./channel";
import { Conversation } from "./conversation";
import { type Privilege, scriptBytes, scriptCommand } from "./loader";
import { refuseBadEnding, type ScriptRequest, type ScriptResult } from "./script-request";

/** Runs a script on a machine, with privileges. Rejects unless it exits 0. */
export async function runScript(machine: Machine, host: string, request: ScriptRequest): Promise<ScriptResult> {
  const id = randomBytes(12).toString("hex");
  const ready = `ready-${id}`;
  const prompt = `password-${id}:`;
  const seconds = Math.max(1, Math.ceil(request.timeoutMs / 1000));
  const privilege = privilegeFor(machine, request.sudoPassword, prompt);
  const script = scriptBytes(request.command.text);
  const startedAt = Date.now();
  const channel = await machine.launch(scriptCommand(privilege, ready, seconds, script.length));
  const conversation = new Conversation(host, channel, request, { ready, prompt, privilege, script });
  const { ending, stdout, stderr } = await conversation.finish(seconds);
  const timedOut = Date.now() - startedAt >= seconds * 1000 - 500;
  refuseBadEnding(host, request, ending, stderr, timedOut ? seconds : undefined);
  return { stdout, stderr };
}

/** What sudo, if any, has to be asked. */
export function privilegeFor(machine: Machine, sudoPassword: string | undefined, prompt: string): Privilege {
  if (machine.isRoot) return { kind: "none" };
  return sudoPassword === undefined ? { kind: "sudo" } : { kind: "sudo-password", prompt };
}
