import type { Machine } from "./channel";
import type { ScriptRequest, ScriptResult } from "./run-script";

export function runScriptOnTerminal(machine: Machine, host: string, request: ScriptRequest): Promise<ScriptResult> {
  throw new Error(`not built yet: ${[machine, host, request].length}`);
}
