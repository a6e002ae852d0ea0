import { posix } from "node:path";
import { BackupError } from "../errors";
import type { SnapshotFile } from "../model";
import { type ConnectedHost, pipeFile } from "../transport/connect";
import type { Host } from "../transport/host";
import { type Command, sh } from "../transport/shell";
import { checkedName, isUnfinished, namesThere } from "./snapshot-name";
import type { SnapshotStore } from "./store";
import { findVerifiedFile, readVerifiedFile } from "../snapshot-file/verified-file";

/**
 * The snapshots in a directory of one server. `stat` reads the whole file and throws SNAPSHOT_CORRUPT unless its
 * SHA-256 trailer is right; `list` looks at names, sizes and times only.
 */
export function directoryStore(
  hosts: ReadonlyMap<string, ConnectedHost>,
  server: string,
  directory: string,
): SnapshotStore {
  const folder = posix.normalize(directory).replace(/(?<=.)\/$/, "");
  const title = `file://${server}${folder}`;
  const pathOf = (name: string): string => posix.join(folder, checkedName(name));
  const entry = (name: string, sizeBytes: number, takenAt: string): SnapshotFile => ({
    name,
    location: { kind: "file", server, path: pathOf(name) },
    sizeBytes,
    takenAt,
  });

  const store: SnapshotStore = {
    title,
    locate: (name) => ({ kind: "file", server, path: pathOf(name) }),

    async stat(name) {
      const found = await findVerifiedFile(holder(), pathOf(name));
      return found === undefined ? undefined : entry(name, found.sizeBytes, found.modifiedAt);
    },

    async list() {
      return parseListing((await holder().query(listScript(folder))).stdout, folder, entry);
    },

    async put(host, path, name) {
      const target = pathOf(name);
      const { sha256 } = await readVerifiedFile(host, path, name);
      if (host.name !== server) await pipeFile(asConnected(host), path, holder(), target);
      else if (posix.normalize(path) !== target) await host.run(copyScript(path, target), { timeoutMs: COPY_MS });
      const saved = await findVerifiedFile(holder(), target);
      if (saved?.sha256 === sha256) return entry(name, saved.sizeBytes, saved.modifiedAt);
      throw new BackupError("SNAPSHOT_FAILED", `${target} is not what was copied from ${host.name}:${path}`, {
        host: server,
        hint: `The snapshot itself is on ${host.name}: ${path}`,
      });
    },

    async fetch(host, name, path) {
      const source = pathOf(name);
      await mustExist(name);
      if (host.name !== server) await pipeFile(holder(), source, asConnected(host), path);
      else if (posix.normalize(path) !== source) await host.run(copyScript(source, path), { timeoutMs: COPY_MS });
    },

    async delete(name) {
      await holder().run(sh`rm -f ${pathOf(name)}`);
    },

    async readRange(name, offset, length) {
      await mustExist(name);
      return holder().readRange(pathOf(name), offset, length);
    },
  };
  return store;

  function holder(): ConnectedHost {
    const host = hosts.get(server);
    if (host !== undefined) return host;
    throw new BackupError("SNAPSHOT_NOT_FOUND", `${title} names the server ${server}, which is not in the cluster`, {
      hint: `The cluster has ${[...hosts.keys()].join(", ")}.`,
    });
  }

  function asConnected(host: Host): ConnectedHost {
    const known = hosts.get(host.name);
    if (known !== undefined) return known;
    throw new BackupError("INVALID_INPUT", `${host.name} is not a server of this cluster`);
  }

  async function mustExist(name: string): Promise<void> {
    const { stdout } = await holder().query(sh`if [ -f ${pathOf(name)} ]; then echo there; fi`);
    if (stdout.trim() === "there") return;
    const names = (await store.list()).map((file) => file.name);
    throw new BackupError("SNAPSHOT_NOT_FOUND", `no snapshot named ${name} in ${folder}`, {
      host: server,
      hint: namesThere(names),
    });
  }
}

const COPY_MS = 20 * 60_000;

/** Whole or not at all, and 0600 from the first byte on. */
function copyScript(source: string, target: string): Command {
  return sh`( s=${source} t=${target} d=${posix.dirname(target)}
  umask 077
  [ -f "$s" ] || { echo "$s: no such file" >&2; exit 1; }
  mkdir -p "$d" && c=$(mktemp "$d/.copy.XXXXXX") || exit 1
  trap 'rm -f "$c"' EXIT
  trap 'exit 1' HUP INT TERM
  cat "$s" >"$c" && { sync "$c" 2>/dev/null || sync; } && mv -f "$c" "$t"
)`;
}

function listScript(folder: string): Command {
  return sh`( d=${folder}
  [ -d "$d" ] || exit 0
  command -v stat >/dev/null 2>&1 || { echo 'stat: not found' >&2; exit 127; }
  set -- "$d"/*
  # A file that was deleted since is not a failure.
  stat -c '%f %s %Y %n' "$@" 2>/dev/null || :
)`;
}

function parseListing(
  stdout: string,
  folder: string,
  entry: (name: string, sizeBytes: number, takenAt: string) => SnapshotFile,
): SnapshotFile[] {
  const files: SnapshotFile[] = [];
  for (const line of stdout.split("\n")) {
    const [, mode, size, modified, path] = /^([0-9a-f]+) (\d+) (\d+) (.+)$/.exec(line) ?? [];
    if (mode === undefined || size === undefined || modified === undefined || path === undefined) continue;
    if ((parseInt(mode, 16) & 0xf000) !== 0x8000 || posix.dirname(path) !== folder) continue;
    if (isUnfinished(posix.basename(path))) continue;
    files.push(entry(posix.basename(path), Number(size), new Date(Number(modified) * 1000).toISOString()));
  }
  return files.sort((a, b) => b.takenAt.localeCompare(a.takenAt) || b.name.localeCompare(a.name));
}
