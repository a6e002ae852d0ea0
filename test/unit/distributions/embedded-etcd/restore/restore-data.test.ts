import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import type { EmbeddedFacts } from "../../../../../provider/distributions/embedded-etcd/facts";
import {
  keepIdentity,
  listFiles,
  moveIdentityBack,
  putDataBack,
  putIdentityBack,
  rememberFiles,
  setDataAside,
  setIdentityAside,
} from "../../../../../provider/distributions/embedded-etcd/restore/restore-data";
import { restorePlaces } from "../../../../../provider/distributions/embedded-etcd/restore/restore-places";
import { type Command, script } from "../../../../../provider/transport/shell";
import { embeddedFacts } from "../../../../support/embedded-facts";
import { everyPoint } from "../../../../support/power-loss";
import { type ScriptHost, scriptHost } from "../../../../support/script-host";

const odd = `it's "my" $HOME data; ü *`;

let host: ScriptHost;
let facts: EmbeddedFacts;
let places: ReturnType<typeof restorePlaces>;
beforeEach(() => {
  host = scriptHost();
  // The disk of this machine is not what is tried here.
  host.stub("sync", "");
});
afterEach(() => host.remove());

const layouts = [
  { title: "a server", name: "k3s" },
  { title: "a server in a directory with an odd name", name: odd },
  { title: "a machine that has never run", name: "k3s", isNew: true },
  { title: "a server whose etcd is a link to another disk", name: "k3s", link: "there" },
  { title: "a server whose etcd is a link to a disk that is not mounted", name: "k3s", link: "nowhere" },
] as const satisfies readonly Layout[];

interface Layout {
  readonly title: string;
  readonly name: string;
  readonly isNew?: true;
  readonly link?: "there" | "nowhere";
}

describe.each<Layout>(layouts)("$title", (layout) => {
  test("etcd's data is set aside, and everything beside it stays: snapshots above all", async () => {
    const before = lay(layout);
    await host.run(setDataAside(facts, places));
    expect(lstatSync(inServer("db/etcd"), { throwIfNoEntry: false })).toBeUndefined();
    const moved = Object.fromEntries(
      Object.entries(before).map(([path, text]) => [path.replace(/\/db\/etcd(?=\/|$)/, "/db/etcd.before-a1"), text]),
    );
    expect(tree()).toEqual(moved);
  });

  test.each([false, true])("put back, all is as it was, with the token's own or not: %p", async (withToken) => {
    const before = lay(layout);
    await host.run(setAside(withToken));
    await host.run(setAside(withToken));
    joinAnew();
    await host.run(putBack());
    await host.run(putBack());
    expect(tree()).toEqual(withToken ? { ...madeByJoining(layout), ...before } : expect.objectContaining(before));
  });

  test("put back without having been set aside, nothing changes", async () => {
    const before = lay(layout);
    await host.run(putBack());
    expect(tree()).toEqual(before);
  });
});

// What directories are called makes no difference to when they are moved.
describe.each<Layout>([layouts[0], layouts[2]])("$title, cut off anywhere", (layout) => {
  test.each([false, true])("it is set aside in the end, or put back as it was; token: %p", async (withToken) => {
    lay(layout);
    await host.run(setAside(withToken));
    const whole = tree();
    const points = await everyPoint(host, async (cutOff) => {
      lay(layout);
      await cutOff(setAside(withToken));
      await host.run(setAside(withToken));
      expect(tree()).toEqual(whole);
    });
    expect(points).toBeGreaterThan(2);
    await everyPoint(host, async (cutOff) => {
      const before = lay(layout);
      await cutOff(setAside(withToken));
      await host.run(putBack());
      expect(tree()).toEqual(before);
    });
  });

  test("putting back is completed by itself", async () => {
    await everyPoint(host, async (cutOff) => {
      const before = lay(layout);
      await host.run(setAside(true));
      await cutOff(putBack());
      await host.run(putBack());
      expect(tree()).toEqual(before);
    });
  });
});

test("data that came after everything was put back is nobody's to take away", async () => {
  lay(layouts[2]);
  await host.run(setAside(true));
  await host.run(putBack());
  joinAnew();
  const joined = tree();
  await host.run(putBack());
  expect(tree()).toEqual(joined);
});

test("data that cannot be moved is not called moved", async () => {
  lay(layouts[0]);
  host.stub("mv", "echo 'mv: Device or resource busy' >&2; exit 1");
  await expect(host.run(setDataAside(facts, places))).rejects.toMatchObject({
    stderr: expect.stringContaining("busy") as string,
  });
  expect(existsSync(inServer("db/etcd/member/snap/db"))).toBe(true);
});

describe("what belongs to another token", () => {
  test("is set aside for root alone; snapshots, and the token's other names, stay", async () => {
    const before = lay(layouts[1]);
    mkdirSync(places.identity, { mode: 0o755 });
    await host.run(setIdentityAside(facts, places));
    expect(statSync(places.identity).mode & 0o777).toBe(0o700);
    const moved = Object.entries(before).map(([path, text]) => [
      path.replace(/(?<=\/server)(?=\/(tls|cred|token)(\/|$))/, "/before-a1"),
      text,
    ]);
    expect(tree()).toEqual({ ...Object.fromEntries(moved), [join(odd, "server/before-a1")]: "a folder" });
  });

  test("is kept as it was at first: what a server has made since is not taken for it", async () => {
    const before = lay(layouts[0]);
    await host.run(setAside(true));
    joinAnew();
    await host.run(setAside(true));
    expect(readFileSync(join(places.identity, "token"), "utf8")).toBe("K10abc::server:old");
    await host.run(putBack());
    expect(tree()).toEqual(before);
  });

  test("that cannot be moved stays, and so does the data", async () => {
    const before = lay(layouts[0]);
    host.stub("mv", "echo 'mv: Device or resource busy' >&2; exit 1");
    await expect(host.run(setAside(true))).rejects.toMatchObject({
      stderr: expect.stringContaining("busy") as string,
    });
    await host.run(putBack());
    expect(tree()).toEqual(before);
  });
});

describe("who a server is", () => {
  const anyLayout = [layouts[0], layouts[1], layouts[2]];

  test.each<Layout>(anyLayout)("$title: what a reset wrote over is put back as it was", async (layout) => {
    const before = lay(layout);
    await host.run(keepIdentity(facts, places));
    await host.run(keepIdentity(facts, places));
    resetDoes();
    await host.run(putIdentityBack(facts, places));
    await host.run(putIdentityBack(facts, places));
    expect(tree()).toEqual(before);
    expect(readdirSync(inWork(""))).toEqual([]);
  });

  test("the copies are root's alone", async () => {
    lay(layouts[0]);
    await host.run(keepIdentity(facts, places));
    expect(statSync(places.identity).mode & 0o777).toBe(0o700);
    expect(statSync(join(places.identity, "token")).mode & 0o777).toBe(0o600);
  });

  test("a copy is the first one, also after a reset", async () => {
    const before = lay(layouts[0]);
    await host.run(keepIdentity(facts, places));
    resetDoes();
    await host.run(keepIdentity(facts, places));
    await host.run(putIdentityBack(facts, places));
    expect(tree()).toEqual(before);
  });

  test("what was there before the reset, and looks like the reset's, stays", async () => {
    lay(layouts[0]);
    put("tls-1600000000/ca.crt", "older");
    put("db/reset-flag", "");
    const before = tree();
    await host.run(keepIdentity(facts, places));
    resetDoes();
    await host.run(putIdentityBack(facts, places));
    expect(tree()).toEqual(before);
  });

  test.each<Layout>([layouts[0], layouts[2]])(
    "$title: kept or not, cut off anywhere, it is put back",
    async (layout) => {
      const points = await everyPoint(host, async (cutOff) => {
        const before = lay(layout);
        await cutOff(keepIdentity(facts, places));
        await host.run(putIdentityBack(facts, places));
        expect(tree()).toEqual(before);
      });
      expect(points).toBeGreaterThan(4);
    },
  );

  test("putting back is completed by itself, wherever it was cut off", async () => {
    const points = await everyPoint(host, async (cutOff) => {
      const before = lay(layouts[0]);
      await host.run(keepIdentity(facts, places));
      resetDoes();
      await cutOff(putIdentityBack(facts, places));
      await host.run(putIdentityBack(facts, places));
      expect(tree()).toEqual(before);
    });
    expect(points).toBeGreaterThan(10);
  });

  test("half of the copies, taken away by a power loss, are not taken for all of them", async () => {
    const before = lay(layouts[0]);
    await host.run(keepIdentity(facts, places));
    // rm goes file by file.
    host.stub(
      "rm",
      `case "$*" in */before-a1*) command -p rm -rf "$ROOT/disk/k3s/server/before-a1"*/tls; kill -KILL $PPID ;; *) exec ${rm} "$@" ;; esac`,
    );
    await expect(host.run(putIdentityBack(facts, places))).rejects.toBeInstanceOf(Error);
    rmSync(join(host.root, "bin/rm"));
    await host.run(putIdentityBack(facts, places));
    expect(tree()).toEqual(before);
  });

  test("a disk without room for the copies changes nothing", async () => {
    const before = lay(layouts[0]);
    host.stub("cp", "echo 'cp: No space left on device' >&2; exit 1");
    await expect(host.run(keepIdentity(facts, places))).rejects.toMatchObject({
      stderr: expect.stringContaining("No space") as string,
    });
    await host.run(putIdentityBack(facts, places));
    expect(tree()).toEqual(before);
  });
});

describe("the restored files", () => {
  const list = async (): Promise<string> => (await host.query(listFiles(facts))).stdout;

  test("are remembered as they were at first", async () => {
    lay(layouts[1]);
    await host.run(rememberFiles(facts, places));
    const first = await list();
    put("db/etcd/member/snap/db", "written");
    await host.run(rememberFiles(facts, places));
    expect(readFileSync(inWork("files"), "utf8")).toBe(first);
    expect(await list()).not.toBe(first);
  });

  test.each<[string, (db: string) => void]>([
    ["written", (db) => writeFileSync(db, "olD")],
    ["touched", (db) => utimesSync(db, 1, 1)],
    ["removed", (db) => rmSync(db)],
    ["added", (db) => writeFileSync(`${db}.new`, "")],
    ["put in another's place", (db) => (writeFileSync(`${db}.new`, "old"), renameSync(`${db}.new`, db))],
  ])("one that was %s is seen", async (_, change) => {
    lay(layouts[0]);
    const before = await list();
    change(inServer("db/etcd/member/snap/db"));
    expect(await list()).not.toBe(before);
  });
});

const rm = ["/usr/bin/rm", "/bin/rm"].find((path) => existsSync(path)) ?? "rm";

/** A server's files; what is returned is all of them. */
function lay({ name, isNew, link }: Layout): Readonly<Record<string, string>> {
  rmSync(join(host.root, "disk"), { recursive: true, force: true });
  rmSync(join(host.root, "state"), { recursive: true, force: true });
  facts = embeddedFacts({ dataDir: join(host.root, "disk", name) });
  places = restorePlaces("prod", facts, "a1");
  mkdirSync(inWork(""), { recursive: true });
  mkdirSync(inServer("db"), { recursive: true });
  if (isNew === true) return tree();
  put("db/snapshots/etcd-snapshot-s1-1700000000", "snapshot");
  put("db/.metadata/etcd-snapshot-s1-1700000000", "{}");
  put("token", "K10abc::server:old");
  put("tls/server-ca.crt", "old");
  put("tls/etcd/client.key", "old");
  put("cred/passwd", "old");
  symlinkSync(inServer("token"), inServer("node-token"));
  if (link === undefined) {
    put("db/etcd/member/snap/db", "old");
    put("db/etcd/name", "s1-0a1b2c3d");
  } else {
    if (link === "there") {
      mkdirSync(join(host.root, "disk/other/member"), { recursive: true });
      writeFileSync(join(host.root, "disk/other/member/db"), "old");
    }
    symlinkSync(join(host.root, "disk/other"), inServer("db/etcd"));
  }
  return tree();
}

/** As a peer is set aside: what belongs to its token too, where the snapshot has another one. */
function setAside(withToken: boolean): Command {
  return script(withToken ? setIdentityAside(facts, places) : script(), setDataAside(facts, places));
}

function putBack(): Command {
  return script(putDataBack(facts, places), moveIdentityBack(facts, places));
}

/** As a reset does: certificates, credentials and token are others, and more lies beside them. */
function resetDoes(): void {
  for (const path of ["token", "tls/server-ca.crt", "tls/new.crt", "cred/passwd", "agent-token"]) put(path, "reset's");
  rmSync(inServer("cred/passwd"));
  put("tls-1700000009/server-ca.crt", "old");
  put("db/reset-flag", "");
  put("db/etcd-tmp/member/db", "");
  if (!existsSync(inServer("node-token"))) symlinkSync(inServer("token"), inServer("node-token"));
}

/** As a server does that joins: whatever is not there is made. */
function joinAnew(): void {
  put("db/etcd/member/snap/db", "joined");
  for (const path of ["token", "tls/server-ca.crt", "cred/passwd"])
    if (!existsSync(inServer(path))) put(path, "joined");
}

/** What joining makes on a machine that has never run is its own, and does no harm. */
function madeByJoining({ isNew }: Layout): Readonly<Record<string, string>> {
  if (isNew !== true) return {};
  const made = Object.entries(tree()).filter(([path]) => /server\/(token|tls|cred)/.test(path));
  return Object.fromEntries(made);
}

function inServer(path: string): string {
  return join(facts.dataDir, "server", path);
}

function put(path: string, content: string): void {
  mkdirSync(dirname(inServer(path)), { recursive: true });
  writeFileSync(inServer(path), content, { mode: 0o600 });
}

function inWork(path: string): string {
  return join(host.root, "state/prod/restore-a1", path);
}

/** Every file, folder and link of the disk, with its content. */
function tree(): Readonly<Record<string, string>> {
  const disk = join(host.root, "disk");
  const paths = readdirSync(disk, { recursive: true, encoding: "utf8" }).sort();
  return Object.fromEntries(paths.map((path) => [path, contentOf(join(disk, path))]));
}

function contentOf(path: string): string {
  const stat = lstatSync(path);
  if (stat.isSymbolicLink()) return `-> ${readlinkSync(path)}`;
  return stat.isDirectory() ? "a folder" : readFileSync(path, "utf8");
}
