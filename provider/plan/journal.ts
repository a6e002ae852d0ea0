import type { Host } from "../transport/host";
import { type Command, rawScript, script, sh } from "../transport/shell";
import type { Hosts } from "./plan";
import { serverDirectory } from "./server-directory";
import { behind, wrapHost } from "./wrapped-host";

export type JournalEvent = "open" | "begin" | "done" | "undone" | "crossed" | "closed";
export type Outcome = "done" | "abandoned" | "superseded";

/** One line of a server's journal: event, time of the server, then what it is about. */
export interface JournalLine {
  readonly event: JournalEvent;
  readonly at: number;
  /** `open`: the attempt. `begin`, `done`, `undone`: the step's id. `closed`: the outcome. */
  readonly subject: string;
  /** `open`: see `describeAttempt`. `begin`: the machine's boot, to tell later whether it lost power since. */
  readonly detail: string;
}

/** What an attempt has to remember of its beginning. */
export interface Attempt {
  /** Names everything that this attempt puts on the servers. */
  readonly attempt: string;
  readonly identity: string;
  /** Whether the cluster had a quorum when the attempt began. */
  readonly quorumBefore: boolean;
  /** The highest revision that a member told then. */
  readonly revisionBefore?: number | undefined;
  readonly snapshot: { readonly location: string; readonly sizeBytes: number; readonly takenAt: string };
}

/** What the servers' journals say together of the attempt that is open. */
export interface OpenAttempt extends Attempt {
  readonly began: ReadonlySet<string>;
  readonly done: ReadonlySet<string>;
  /** Once something was put back, there is only back. */
  readonly undone: ReadonlySet<string>;
  readonly crossed: boolean;
}

export function journalPath(cluster: string): string {
  return `${serverDirectory(cluster)}/journal`;
}

/** What lies open on the servers; undefined when nothing does. A journal that one server has closed is closed for all. */
export function readOpenAttempt(journals: readonly string[]): OpenAttempt | undefined {
  const lines = journals.map(parseJournal);
  const open = lines
    .flatMap((own) => own.filter((line) => line.event === "open").slice(-1))
    .sort((a, b) => b.at - a.at)[0];
  if (open === undefined) return undefined;
  // Only what was written since this attempt was opened, on the servers that took part in it.
  const since = lines.map((own) => {
    const start = own.findLastIndex((line) => line.event === "open" && line.subject === open.subject);
    return start < 0 ? [] : own.slice(start);
  });
  const all = since.flat();
  if (all.some((line) => line.event === "closed")) return undefined;
  const began = new Set<string>();
  const done = new Set<string>();
  const undone = new Set<string>();
  for (const line of all) {
    if (line.event === "begin") began.add(line.subject);
    if (line.event === "done") done.add(line.subject);
    if (line.event === "undone") {
      undone.add(line.subject);
      began.delete(line.subject);
      done.delete(line.subject);
    }
  }
  return {
    ...parseAttempt(open),
    began,
    done,
    undone,
    crossed: all.some((line) => line.event === "crossed"),
  };
}

/** Whether a server's journal knows of an attempt: it may have been damaged since, or the server listed later. */
export function isKnownTo(journal: string, { attempt }: Attempt): boolean {
  return parseJournal(journal).some((line) => line.event === "open" && line.subject === attempt);
}

/** Writes the journal of one attempt on all its servers. */
export interface Journal {
  /** The host for one step: its first change writes `begin` in the same script. */
  hostFor(step: string, host: Host): Host;
  /** The host for putting a step back: it has begun already, and a full disk must not keep it from making room. */
  hostForUndo(host: Host): Host;
  /** Remembers a line that the server's next script writes: losing it costs a repetition, never the truth. */
  note(server: string, event: "done" | "undone", step: string): void;
  // These write to every server at once, whatever was still noted first.
  open(attempt: Attempt): Promise<void>;
  crossed(): Promise<void>;
  close(outcome: Outcome): Promise<void>;
}

export function journalFor(cluster: string, hosts: Hosts): Journal {
  const path = journalPath(cluster);
  const noted = new Map<string, Command[]>();
  const takeNoted = (server: string): Command => {
    const lines = noted.get(server) ?? [];
    noted.delete(server);
    return script(...lines);
  };
  const flush = sh`sync ${path} 2>/dev/null || sync`;
  const line = (event: JournalEvent, subject: string, detail: string | { readonly shell: string }): Command =>
    sh`printf '%s\t%s\t%s\t%s\n' ${event} "$(date +%s)" ${subject} ${
      typeof detail === "string" ? detail : rawScript(`"${detail.shell}"`)
    } >>${path} || exit 1`;
  const write = async (event: JournalEvent, subject: string, detail = ""): Promise<void> => {
    const scripts = [...hosts.values()].map((host) =>
      host.run(script(takeNoted(host.name), line(event, subject, detail), flush)),
    );
    // Nothing is still being written when this ends, whichever way.
    const failure = (await Promise.allSettled(scripts)).find((result) => result.status === "rejected");
    if (failure !== undefined) throw failure.reason;
  };
  return {
    hostFor(step, host) {
      let began = false;
      return wrapHost(host, async (command, options) => {
        const lines = takeNoted(host.name);
        const begin = began ? script() : line("begin", step, { shell: "$(cat /proc/sys/kernel/random/boot_id)" });
        // The change may reach the disk before these lines do: after a power loss there must be no change without its line.
        const result = await host.run(behind(script(lines, begin, flush), command), options);
        began = true;
        return result;
      });
    },
    hostForUndo: (host) =>
      wrapHost(host, (command, options) => {
        if (!noted.has(host.name)) return host.run(command, options);
        return host.run(behind(script(takeNoted(host.name), flush), command), options);
      }),
    note(server, event, step) {
      noted.set(server, [...(noted.get(server) ?? []), line(event, step, "")]);
    },
    open: (attempt) => write("open", attempt.attempt, describeAttempt(attempt)),
    crossed: () => write("crossed", ""),
    close: (outcome) => write("closed", outcome),
  };
}

function describeAttempt({ identity, quorumBefore, revisionBefore, snapshot }: Attempt): string {
  return [
    identity,
    quorumBefore ? "quorum" : "no-quorum",
    revisionBefore ?? "-",
    snapshot.sizeBytes,
    snapshot.takenAt,
    snapshot.location,
  ].join(" ");
}

function parseAttempt(open: JournalLine): Attempt {
  const [identity = "", before = "", revision = "", size = "", takenAt = "", ...location] = open.detail.split(" ");
  return {
    attempt: open.subject,
    identity,
    quorumBefore: before === "quorum",
    ...(revision === "-" ? {} : { revisionBefore: Number(revision) }),
    snapshot: { location: location.join(" "), sizeBytes: Number(size), takenAt },
  };
}

function parseJournal(text: string): JournalLine[] {
  return text.split("\n").flatMap((line) => {
    const [event = "", at = "", subject = "", detail = ""] = line.split("\t");
    return isEvent(event) ? [{ event, at: Number(at), subject, detail }] : [];
  });
}

function isEvent(word: string): word is JournalEvent {
  return ["open", "begin", "done", "undone", "crossed", "closed"].includes(word);
}
