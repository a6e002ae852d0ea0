import { type Command, rawScript, script } from "../../provider/transport/shell";
import type { ScriptHost } from "./script-host";

/** Runs a script until it is cut off, as by a loss of power. */
export type CutOff = (command: Command) => Promise<void>;

/** Cuts a script off before and after every call with which it changes anything, one after the other; how many there were. */
export async function everyPoint(host: ScriptHost, work: (cutOff: CutOff) => Promise<void>): Promise<number> {
  for (let n = 1; ; n++) {
    let survived = false;
    for (const when of ["before", "after"]) {
      await work(async (command) => {
        survived = await host.run(script(rawScript(powerLoss(when, n)), command)).then(
          () => true,
          () => false,
        );
      });
    }
    if (survived) return n;
  }
}

/** Ends the script at once, before or after the `n`th of its changes. */
function powerLoss(when: string, n: number): string {
  const calls = ["mv", "cp", "mkdir", "rmdir", "rm", "chmod", "sync"].map(
    (call) => `${call}() { lose before; command ${call} "$@"; code=$?; lose after; return $code; }`,
  );
  return `changes=0
lose() { [ "$1" != ${when} ] || { changes=$((changes + 1)); [ $changes -ne ${n} ] || kill -KILL $$; }; }
${calls.join("\n")}`;
}
