import type { ServerChannel } from "ssh2";

/** What a script ended with. */
export interface ScriptEnd {
  readonly stdout: string;
  readonly stderr?: string;
  /** @default 0 */
  readonly code?: number;
}

/** Answers a script instead of a shell. Rejects to cut the connection. */
export type AnswerScript = (text: string) => Promise<ScriptEnd>;

/** Speaks for the shell that `provider/transport/loader.ts` starts: takes the script as it comes over standard input, and hands it on. */
export function answerScript(channel: ServerChannel, command: string, answer: AnswerScript, cut: () => void): void {
  const [, ready] = /\b(ready-[0-9a-f]{24})\b/.exec(command) ?? [];
  const [, bytes] = /\bsh (\d+)$/.exec(command) ?? [];
  if (ready === undefined || bytes === undefined) throw new Error(`not a script of ours: ${command}`);
  channel.write(`${ready}\n`);
  channel.stderr.write(`${ready}\n`);
  const end = ({ stdout, stderr = "", code = 0 }: ScriptEnd): void => {
    if (channel.destroyed) return;
    channel.write(stdout);
    channel.stderr.write(stderr);
    channel.exit(code);
    channel.end();
  };
  let received = Buffer.alloc(0);
  let answered = false;
  channel.on("error", () => undefined);
  channel.on("data", (chunk: Buffer) => {
    received = Buffer.concat([received, chunk]);
    if (answered || received.length < Number(bytes)) return;
    answered = true;
    const text = received.subarray(0, Number(bytes)).toString("utf8");
    answer(text).then(end, cut);
  });
}
