import type { Host } from "../transport/host";
import { installFile } from "../transport/install-file";

/** The same host, whose every change goes through `run`. */
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
