// A process of its own that takes a cluster's lock and then does what its standard input says: a `LockOrder` in one line,
// then words, a line each: `change` writes a file under the lock, `release`. It tells how each ended, a line of JSON each.
import { createInterface } from "node:readline";
import { BackupError } from "../../provider/errors";
import type { Connection } from "../../provider/model";
import { takeLock } from "../../provider/plan/lock";
import { closeConnections, connect } from "../../provider/transport/connect";
import { sh } from "../../provider/transport/shell";

export interface LockOrder {
  readonly cluster: string;
  readonly operation: string;
  readonly hosts: Readonly<Record<string, Connection>>;
}

void main();

async function main(): Promise<void> {
  const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  const { cluster, operation, hosts: connections } = JSON.parse(String((await lines.next()).value)) as LockOrder;
  const entries = Object.entries(connections).map(async ([name, one]) => [name, await connect(name, one)] as const);
  const hosts = new Map(await Promise.all(entries));
  const lock = await told(() => takeLock(cluster, operation, hosts));
  const change = (): Promise<unknown> =>
    Promise.all([...hosts.values()].map(async (host) => lock?.guard(host).run(sh`echo changed >>/root/changes`)));
  for (let word = await lines.next(); lock !== undefined && word.done !== true; word = await lines.next()) {
    if (word.value === "release") await told(() => lock.release());
    if (word.value === "change") await told(change);
  }
  await closeConnections();
}

async function told<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    const result = await work();
    console.log("{}");
    return result;
  } catch (error) {
    const { code, message } = error instanceof BackupError ? error : { code: "unknown", message: String(error) };
    console.log(JSON.stringify({ code, message }));
    return undefined;
  }
}
