import { mkdirSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { discoverScript } from "../../../../provider/distributions/embedded-etcd/discover-script";
import { hashToken } from "../../../../provider/distributions/embedded-etcd/token";
import { parseParts } from "../../../../provider/distributions/parts";
import { k3sProgram } from "../../../support/embedded-facts";
import { shells } from "../../../support/script-functions";
import { type ScriptHost, scriptHost } from "../../../support/script-host";

const mark = "=mark";

// What a whole server answers is recorded; here is what takes an odd one to see.
describe.each(shells.map((shell) => ({ shell, name: shell.join(" ") })))("in $name", ({ shell }) => {
  let host: ScriptHost;
  beforeEach(() => {
    host = scriptHost("s1", shell);
    unit([]);
    host.stub("busctl", "exit 1");
    host.stub("curl", "exit 7");
  });
  afterEach(() => host.remove());

  test("every file that the server would read is read: hidden ones too, in whatever case", async () => {
    const names = ["10-a.yaml", "20-b.yml", "30-c.YAML", ".40-d.yaml", "50 e's.yaml"];
    const base = put("config.yaml", "token: x");
    for (const name of [...names, "README", "60-f.yaml.bak", ".70-g.yaml.swp"])
      put(`config.yaml.d/${name}`, `# ${name}`);
    mkdirSync(join(host.root, "config.yaml.d/80-folder.yaml"));
    const parts = await look();
    const files = [...parts.keys()].flatMap((name) => /^file \d+ \S+ \d+ (.*)$/.exec(name)?.[1] ?? []);
    expect(files.sort()).toEqual([base, ...names.map((name) => `${base}.d/${name}`)].sort());
  });

  test("a link to a configuration is as old and as open as what it leads to", async () => {
    const target = put("elsewhere.yaml", "token: x", 0o640);
    utimesSync(target, 1_700_000_000, 1_700_000_000);
    symlinkSync(target, join(host.root, "config.yaml"));
    const [name = ""] = [...(await look()).keys()].filter((key) => key.startsWith("file "));
    expect(name).toMatch(/^file 640 \S+ 1700000000 .*\/config\.yaml$/);
  });

  test.each(["K10abc::server:pass", "K10abc::server:pa::s:s word", "bare", "bare::with:colons"])(
    "the token %j is told by its hash alone",
    async (token) => {
      put("data/server/token", `${token}\n`);
      const parts = await look();
      expect(parts.get("token")).toBe(hashToken(token));
      expect([...parts.values()].join("\n")).not.toContain(token);
    },
  );

  test("flags of the unit tell where to look, the last one in either spelling", async () => {
    const config = put("my.yaml", "data-dir: /nowhere\netcd-snapshot-dir: '/snap' # there\n");
    unit(["--data-dir", "/first", `--config=${config}`, `-d=${join(host.root, "data")}`]);
    const parts = await look({ dataDir: undefined });
    expect(parts.get("config")).toBe(config);
    expect(parts.get("looked")).toBe(`${join(host.root, "data")}\n/snap`);
  });

  test("what it is told to look at comes before all that", async () => {
    unit(["--config", "/from/unit.yaml", "--data-dir", "/from/unit"]);
    const parts = await look({ configFile: "/told it's.yaml", dataDir: "/told", snapshotDirectory: "/told/snapshots" });
    expect([parts.get("config"), parts.get("looked")]).toEqual(["/told it's.yaml", "/told\n/told/snapshots"]);
  });

  test("what lies in the data directory is named, whatever the directory is called", async () => {
    const data = `it's "my" $HOME data; ü *`;
    put(`${data}/server/db/etcd/member/snap/db`, "12345");
    put(`${data}/server/db/etcd/name`, "s1-0a1b2c3d");
    put(`${data}/server/db/state.db`, "");
    put(`${data}/server/db/snapshots/odd name-s1-1700000000`, "123");
    const parts = await look({ dataDir: join(host.root, data) });
    expect(parts.get("data")?.split("\n")).toEqual(["etcd", "sqlite"]);
    expect([parts.get("size"), parts.get("member")]).toEqual(["5", "s1-0a1b2c3d"]);
    expect(parts.get("snapshots")).toMatch(/^3 \d+ .*\/odd name-s1-1700000000$/);
  });

  test("a machine without anything has an answer to everything", async () => {
    const parts = await look({ dataDir: "/nowhere" });
    expect([...parts.keys()]).toEqual([
      ...["unit", "exec", "started", "config", "looked", "binary", "version", "data", "size", "member", "peer"],
      ...["node-password", "node", "address", "token", "snapshots", "listening", "etcd-version", "kill-script"],
      ...["tools", "rancher", "clock", "journal", "marker", "lease", "end"],
    ]);
    expect(["data", "size", "member", "token", "snapshots"].map((name) => parts.get(name))).toEqual(Array(5).fill(""));
  });

  /** What systemd says the unit starts. */
  function unit(args: readonly string[]): void {
    const argv = ["/usr/local/bin/k3s", "server", ...args].join(" ");
    writeFileSync(join(host.root, "exec"), `{ path=/x ; argv[]=${argv} ; ignore_errors=no ; start_time=[n/a] }\n`);
    host.stub(
      "systemctl",
      `case "$*" in *"ExecStart --value") cat "$ROOT/exec" ;; *MainPID*) echo 0 ;; is-active*) exit 3 ;; esac`,
    );
  }

  function put(path: string, content: string, mode = 0o600): string {
    const file = join(host.root, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content, { mode });
    return file;
  }

  async function look(own: Partial<Parameters<typeof discoverScript>[1]> = {}): Promise<ReadonlyMap<string, string>> {
    const question = {
      ...{ cluster: "prod", unit: "k3s.service", configDir: host.root },
      ...{ configFile: undefined, dataDir: join(host.root, "data"), snapshotDirectory: undefined },
      ...own,
    };
    return parseParts((await host.query(discoverScript(k3sProgram, question, mark))).stdout, mark);
  }
});
