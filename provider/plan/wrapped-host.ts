import type { Host } from "../transport/host";
import { installFile } from "../transport/install-file";
import { type Command, script, titled } from "../transport/shell";
import { describeScript } from "../transport/script-request";

/** The same host, whose every change goes through `run`. What comes before the change in its script is not what it is called after. */
export function wrapHost(host: Host, run: Host["run"]): Host {
  return {
    name: host.name,
    query: (command, options) => host.query(command, options),
    readFile: (path) => host.readFile(path),
    readRange: (path, offset, length) => host.readRange(path, offset, length),
    run,
    async writeFile(path, content, options) {
      await run(installFile(path, content, options?.mode ?? 0o644));
    },
  };
}

/** The same host, whose changes messages call after the step, not after the first line of its script. */
export function named(title: string, host: Host): Host {
  return wrapHost(host, (command, options) => host.run(titled(title, command), options));
}

/** A script that begins with something of ours, and is still called what the command is called. */
export function behind(first: Command, command: Command): Command {
  return titled(describeScript(command), script(first, command));
}
