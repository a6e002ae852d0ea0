import { spawn } from "node:child_process";
import { open, readFile, rename, writeFile } from "node:fs/promises";
import { CommandError } from "../../provider/errors";
import type { ConnectedHost } from "../../provider/transport/connect";
import type { CommandOptions, CommandResult } from "../../provider/transport/host";
import { type Command, redact } from "../../provider/transport/shell";

/** This machine as a host, with an environment of its own: what a server's PATH finds first is the test's choice. */
export function localHost(name: string, environment: Readonly<Record<string, string>> = {}): ConnectedHost {
  const run = (command: Command, options: CommandOptions = {}): Promise<CommandResult> =>
    new Promise((resolve, reject) => {
      const shell = spawn("sh", ["-s"], { env: { PATH: process.env["PATH"], LC_ALL: "C", ...environment } });
      let stdout = "";
      let stderr = "";
      const deadline = setTimeout(() => shell.kill("SIGTERM"), options.timeoutMs ?? 60_000);
      shell.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString("utf8")));
      shell.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString("utf8")));
      shell.on("error", reject);
      shell.on("close", (code) => {
        clearTimeout(deadline);
        if (code === 0) resolve({ stdout, stderr });
        else {
          const details = { host: name, exitCode: code ?? undefined, stderr: redact(stderr, command.secrets) };
          reject(new CommandError("a script", details));
        }
      });
      shell.stdin.end(`${command.text}\n`);
    });
  return {
    name,
    query: run,
    run,
    async readFile(path) {
      return readFile(path, "utf8");
    },
    async readRange(path, offset, length) {
      const file = await open(path);
      try {
        const { bytesRead, buffer } = await file.read(Buffer.alloc(length), 0, length, offset);
        return buffer.subarray(0, bytesRead);
      } finally {
        await file.close();
      }
    },
    async writeFile(path, content, { mode = 0o644 } = {}) {
      await writeFile(`${path}.new`, content, { mode });
      await rename(`${path}.new`, path);
    },
    openTunnel() {
      throw new Error("no tunnel was scripted");
    },
  };
}
