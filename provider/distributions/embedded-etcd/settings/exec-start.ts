import { booleanFlags, flagName, secretFlags } from "./flags";

/** One flag of a command line. */
interface Argument {
  /** Full name, without dashes. */
  readonly flag: string;
  /** Of a boolean that stands alone: `true`. */
  readonly value: string;
  /** As they stood there. */
  readonly words: readonly string[];
}

/** Reads the words after `server`, as the distributions' flag parser does: a boolean takes no second word. */
export function parseArguments(words: readonly string[]): readonly Argument[] {
  const found: Argument[] = [];
  for (let index = 0; index < words.length; index++) {
    const word = words[index] ?? "";
    if (word === "--") break;
    const [, name, , inline] = /^--?([A-Za-z][A-Za-z0-9-]*)(=(.*))?$/s.exec(word) ?? [];
    if (name === undefined) continue;
    const flag = flagName(name);
    if (inline !== undefined) found.push({ flag, value: inline, words: [word] });
    else if (booleanFlags.has(flag)) found.push({ flag, value: "true", words: [word] });
    else {
      const value = words[++index];
      // A flag without its value: the server would not start with it.
      if (value !== undefined) found.push({ flag, value, words: [word, value] });
    }
  }
  return found;
}

interface ResetArguments {
  readonly words: readonly string[];
  /** By configuration key: for a file that only root reads. */
  readonly secrets: Readonly<Record<string, string>>;
}

/**
 * What a reset that is run by hand takes over from the unit's arguments, which it does not see. A server to join would
 * stop the reset; S3 and scheduled snapshots are the caller's to say.
 */
export function resetArguments(words: readonly string[]): ResetArguments {
  const kept = parseArguments(words).filter(({ flag }) => !notForReset.has(flag));
  const secret = kept.filter(({ flag }) => secretFlags.has(flag));
  return {
    words: kept.filter(({ flag }) => !secretFlags.has(flag)).flatMap((argument) => argument.words),
    secrets: Object.fromEntries(secret.map(({ flag, value }) => [flag, value])),
  };
}

const notForReset: ReadonlySet<string> = new Set([
  ...["server", "cluster-reset", "cluster-reset-restore-path", "etcd-s3", "etcd-disable-snapshots"],
  // Above a file that takes it back.
  "etcd-s3-config-secret",
]);

/** The arguments of a unit's server; undefined when the unit runs something else, an agent for one. */
export function serverArguments(argv: readonly string[]): readonly string[] | undefined {
  const server = argv.indexOf("server", 1);
  return server < 0 ? undefined : argv.slice(server + 1);
}

/**
 * A unit's argv, of the answer to `busctl --json=short get-property … org.freedesktop.systemd1.Service ExecStart`.
 * Variables are still in it by name: see `expandVariables`.
 */
export function parseBusctlExecStart(json: string): readonly string[] | undefined {
  const answer = parseJson(json) as { readonly data?: unknown } | undefined;
  const command: unknown = Array.isArray(answer?.data) ? answer.data[0] : undefined;
  const argv: unknown = Array.isArray(command) ? command[1] : undefined;
  return isWords(argv) ? argv : undefined;
}

/**
 * The same of `systemctl show -p ExecStart`, which separates words by blanks only: a word with a blank falls apart.
 * Empty where the unit starts nothing.
 */
export function parseShownExecStart(text: string): readonly string[] {
  const [, argv = ""] = /argv\[\]=(.*?) ; ignore_errors=/s.exec(text) ?? [];
  return argv.split(" ").filter((word) => word !== "");
}

/** Puts variables in, as systemd does when it starts the command: `${X}` in a word, `$X` alone as words, `$$` as `$`. */
export function expandVariables(argv: readonly string[], variables: ReadonlyMap<string, string>): readonly string[] {
  return argv.flatMap((word) => {
    const [, alone] = /^\$([A-Za-z_][A-Za-z0-9_]*)$/.exec(word) ?? [];
    if (alone !== undefined) return splitWords(variables.get(alone) ?? "");
    return word.replace(/\$(\$|\{([A-Za-z_][A-Za-z0-9_]*)\})/g, (_, found: string, name?: string) =>
      name === undefined ? found : (variables.get(name) ?? ""),
    );
  });
}

// Blanks separate; quotes hold together, and may begin within a word.
function splitWords(text: string): string[] {
  const words = text.match(/(?:"(?:\\.|[^"\\])*"|'[^']*'|\\.|[^\s"'\\])+/gs) ?? [];
  return words.map((word) =>
    word.replace(/"((?:\\.|[^"\\])*)"|'([^']*)'|\\(.)/gs, (_, double?: string, single?: string, escaped?: string) =>
      double === undefined ? (single ?? escaped ?? "") : double.replace(/\\(.)/gs, "$1"),
    ),
  );
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isWords(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((word) => typeof word === "string");
}
