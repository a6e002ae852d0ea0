import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { EtcdFacts } from "../../../../provider/distributions/etcd/facts";
import { removePrepared, swapBack, swapData } from "../../../../provider/distributions/etcd/restore-data";
import { restorePlaces } from "../../../../provider/distributions/etcd/restore-places";
import { etcdFacts } from "../../../support/etcd-facts";
import { type CutOff, everyPoint as cutOffEverywhere } from "../../../support/power-loss";
import { type ScriptHost, scriptHost } from "../../../support/script-host";

interface Layout {
  readonly title: string;
  readonly dataDir: string;
  readonly walDir?: string;
  /** The member's data is gone. */
  readonly lost?: true;
}

const odd = `it's "my" $HOME data; ü *`;
const layouts: readonly Layout[] = [
  { title: "a data directory", dataDir: "etcd" },
  { title: "a data directory whose data is lost", dataDir: "etcd", lost: true },
  { title: "a WAL directory of its own", dataDir: "etcd", walDir: "wal" },
  { title: "a WAL directory of its own, all data lost", dataDir: "etcd", walDir: "wal", lost: true },
  { title: "directories with odd names", dataDir: odd, walDir: `${odd} wal` },
];

let host: ScriptHost;
beforeEach(() => {
  host = scriptHost();
  // The disk of this machine is not what is tried here.
  host.stub("sync", "");
});
afterEach(() => host.remove());

describe.each(layouts)("$title", (layout) => {
  test("the swap puts the restored data in place and sets the old data aside", async () => {
    const { facts, places } = lay(layout);
    await host.run(swapData(facts, places));
    expect(restored(facts)).toEqual(["new"]);
    const olds = [places.aside, ...(places.asideWal === undefined ? [] : [places.asideWal])].map(contents);
    expect(olds).toEqual(layout.lost === true ? olds.map(() => []) : olds.map(() => ["old"]));
    expect([places.prepared, places.preparedWal ?? ""].filter((path) => existsSync(path))).toEqual([]);
  });

  test("the swap is safe to repeat, and so is putting back", async () => {
    const { facts, places, before } = lay(layout);
    await host.run(swapData(facts, places));
    const after = tree();
    await host.run(swapData(facts, places));
    expect(tree()).toEqual(after);
    for (let i = 0; i < 2; i++) await host.run(swapBack(facts, places));
    await host.run(removePrepared(places));
    expect(tree()).toEqual(before);
  });

  test("putting back what was never swapped changes nothing", async () => {
    const { facts, places, before } = lay(layout);
    await host.run(swapBack(facts, places));
    await host.run(removePrepared(places));
    expect(tree()).toEqual(before);
  });
});

// How directories are called makes no difference to when they are moved.
describe.each(layouts.slice(0, 4))("$title, cut off anywhere", (layout) => {
  test("the swap is completed by itself, or put back as it was", async () => {
    const whole = await completed(layout);
    const points = await everyPoint(layout, async ({ facts, places }, cut) => {
      await cut(swapData(facts, places));
      await host.run(swapData(facts, places));
      expect(tree()).toEqual(whole);
    });
    await everyPoint(layout, async ({ facts, places, before }, cut) => {
      await cut(swapData(facts, places));
      await host.run(swapBack(facts, places));
      await host.run(removePrepared(places));
      expect(tree()).toEqual(before);
    });
    expect(points).toBeGreaterThan(3);
  });

  test("putting back is completed by itself", async () => {
    await everyPoint(layout, async ({ facts, places, before }, cut) => {
      await host.run(swapData(facts, places));
      await cut(swapBack(facts, places));
      await host.run(swapBack(facts, places));
      await host.run(removePrepared(places));
      expect(tree()).toEqual(before);
    });
  });
});

test("data set aside by the same attempt is never overwritten", async () => {
  const { facts, places } = lay({ title: "", dataDir: "etcd" });
  await host.run(swapData(facts, places));
  fill(places.prepared, "newer");
  await expect(host.run(swapData(facts, places))).rejects.toMatchObject({
    stderr: expect.stringMatching(/exists already/) as string,
  });
  expect(contents(places.aside)).toEqual(["old"]);
});

test("data that came after everything was put back is nobody's to move", async () => {
  const { facts, places } = lay({ title: "", dataDir: "etcd", lost: true });
  await host.run(swapData(facts, places));
  await host.run(swapBack(facts, places));
  await host.run(removePrepared(places));
  fill(facts.member.dataDir, "joined again");
  const joined = tree();
  await host.run(swapBack(facts, places));
  await host.run(removePrepared(places));
  expect(tree()).toEqual(joined);
});

test("a swap with nothing prepared and nothing there fails", async () => {
  const { facts, places } = lay({ title: "", dataDir: "etcd", lost: true });
  rmSync(places.prepared, { recursive: true });
  await expect(host.run(swapData(facts, places))).rejects.toMatchObject({
    stderr: expect.stringMatching(/is missing/) as string,
  });
});

type Laid = ReturnType<typeof lay>;

/** A member's directories with old data, unless it is lost; and restored data beside it. `before` is without the latter. */
function lay({ dataDir, walDir, lost }: Layout): {
  readonly facts: EtcdFacts;
  readonly places: ReturnType<typeof restorePlaces>;
  readonly before: Readonly<Record<string, string>>;
} {
  rmSync(join(host.root, "disk"), { recursive: true, force: true });
  rmSync(join(host.root, "state"), { recursive: true, force: true });
  const inside = (path: string): string => join(host.root, "disk", path);
  const facts = etcdFacts({
    member: { dataDir: inside(dataDir), walDir: walDir === undefined ? undefined : inside(walDir) },
  });
  const places = restorePlaces("prod", facts, "a1");
  mkdirSync(join(host.root, "state/prod/restore-a1"), { recursive: true });
  mkdirSync(facts.member.dataDir, { recursive: true });
  if (facts.member.walDir !== undefined) mkdirSync(facts.member.walDir);
  if (lost !== true) fill(facts.member.dataDir, "old", facts.member.walDir);
  const before = tree();
  fill(places.prepared, "new", places.preparedWal);
  return { facts, places, before };
}

function fill(data: string, text: string, wal = join(data, "member/wal")): void {
  const files = [
    join(data, "member/snap/db"),
    join(wal, "0-0.wal"),
    ...(text === "old" ? [join(wal, "1-9.wal"), join(wal, "0.tmp")] : []),
  ];
  for (const file of files) {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
}

/** Every file and folder of the disk, with its content. */
function tree(): Readonly<Record<string, string>> {
  const disk = join(host.root, "disk");
  const paths = readdirSync(disk, { recursive: true, encoding: "utf8" }).sort();
  return Object.fromEntries(
    paths.map((path) => [
      path,
      lstatSync(join(disk, path)).isDirectory() ? "" : readFileSync(join(disk, path), "utf8"),
    ]),
  );
}

/** The different contents of the files below a folder. */
function contents(folder: string): string[] {
  if (!existsSync(folder)) return [];
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).map((path) => join(folder, path));
  return [...new Set(files.filter((file) => lstatSync(file).isFile()).map((file) => readFileSync(file, "utf8")))];
}

/** The different contents of what etcd would read. */
function restored({ member }: EtcdFacts): string[] {
  const wals = member.walDir === undefined ? [] : readdirSync(member.walDir).filter((name) => name.endsWith(".wal"));
  const inWal = wals.map((name) => readFileSync(join(member.walDir ?? "", name), "utf8"));
  return [...new Set([...contents(join(member.dataDir, "member")), ...inWal])];
}

async function completed(layout: Layout): Promise<Readonly<Record<string, string>>> {
  const { facts, places } = lay(layout);
  await host.run(swapData(facts, places));
  return tree();
}

/** Lays the directories anew for every point at which a script is cut off. */
async function everyPoint(layout: Layout, work: (laid: Laid, cut: CutOff) => Promise<void>): Promise<number> {
  return cutOffEverywhere(host, (cut) => work(lay(layout), cut));
}
