const began = Date.now();
const table: (readonly [title: string, ms: number])[] = [];

/** A part of the story, which counts its time. */
export async function chapter<T>(title: string, work: () => Promise<T>): Promise<T> {
  say(`\n== ${title}`);
  const start = Date.now();
  const result = await work();
  table.push([title, Date.now() - start]);
  return result;
}

/** Says whether a fact holds, and ends the demo when it does not. */
export function prove(fact: string, holds: boolean): void {
  say(`   ${holds ? "proven" : "NOT TRUE"}: ${fact}`);
  if (!holds) throw new Error(`not true: ${fact}`);
}

export function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** The time of each chapter. */
export function summary(): void {
  const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`.padStart(8);
  say(`\n${table.map(([title, ms]) => `${seconds(ms)}  ${title}`).join("\n")}`);
  say(`${seconds(Date.now() - began)}  in all`);
}
