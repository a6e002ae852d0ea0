import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { joinServer } from "../../../../../provider/distributions/embedded-etcd/restore/join";
import { restorePlaces } from "../../../../../provider/distributions/embedded-etcd/restore/restore-places";
import { embeddedFacts, type GivenEmbeddedFacts } from "../../../../support/embedded-facts";
import { type FakeSystemctl, fakeSystemctl } from "../../../../support/fake-systemctl";
import { type ScriptHost, scriptHost } from "../../../../support/script-host";

let host: ScriptHost;
let systemctl: FakeSystemctl;
beforeEach(() => {
  host = scriptHost();
  host.stub("sync", "");
  systemctl = fakeSystemctl(host);
});
afterEach(() => host.remove());

const dropIn = (): string => join(host.root, "etc/config.yaml.d/~~~etcd-backup-restore.yaml");
const freed = ["daemon-reload", "reset-failed k3s.service", "start --no-block k3s.service"];

test("a server joins the one that was reset, whatever its own files say, and nobody waits", async () => {
  const configFiles = [{ path: "/etc/rancher/k3s/config.yaml", text: "server: https://10.0.0.99:6443" }];
  expect(await told({ configFiles, args: ["--token", "x"] })).toEqual(['server: "https://10.0.0.11:6443"']);
  expect(systemctl.told()).toEqual(freed);
  expect(statSync(dropIn()).mode & 0o777).toBe(0o600);
});

test("what kept it from starting is gone before it is started", async () => {
  const hold = join(host.root, "units/k3s.service.d/zz-etcd-backup-restore.conf");
  mkdirSync(join(hold, ".."), { recursive: true });
  writeFileSync(hold, "");
  await told({});
  expect(() => statSync(hold)).toThrow();
});

test.each([
  ["an address of IPv6", { address: "fd00::11" }, "https://[fd00::11]:6443"],
  ["a port of its own", { supervisorPort: 7443 }, "https://10.0.0.11:7443"],
])("the first server may have %s", async (_, first, url) => {
  expect(await told({ args: ["--token", "x"] }, first)).toEqual([`server: "${url}"`]);
});

describe("the token", () => {
  test("is the given one", async () => {
    expect(await told({ args: ["--token", "x"] }, {}, `a "given" \\ one`)).toContain('token: "a \\"given\\" \\\\ one"');
  });

  test("is in the server's data, where nothing else tells it", async () => {
    const [, line] = await told({ dataDir: "/srv/my k3s" });
    expect(line).toBe('token-file: "/srv/my k3s/server/token"');
  });

  test.each<[string, GivenEmbeddedFacts]>([
    ["its arguments", { args: ["--token=x"] }],
    ["a file that its arguments name", { args: ["--token-file=/x"] }],
    ["its environment", { environment: [{ name: "K3S_TOKEN", value: "x" }] }],
    ["nothing: there is none", { tokenHash: undefined }],
  ])("is left to %s", async (_, own) => {
    expect(await told(own)).toHaveLength(1);
  });
});

test("a disk without room is an error, and starts nothing", async () => {
  host.stub("mktemp", "echo 'No space left on device' >&2; exit 1");
  await expect(told({})).rejects.toMatchObject({ stderr: expect.stringContaining("No space") as string });
  expect(systemctl.told()).toEqual([]);
});

/** What a server that is to join is told, without the comment. */
async function told(own: GivenEmbeddedFacts, first: GivenEmbeddedFacts = {}, token?: string): Promise<string[]> {
  const facts = embeddedFacts({ server: "s2", configFile: join(host.root, "etc/config.yaml"), ...own });
  await host.run(joinServer(facts, embeddedFacts(first), restorePlaces("prod", facts, "a1"), token));
  const [comment, ...lines] = readFileSync(dropIn(), "utf8").trimEnd().split("\n");
  expect(comment).toMatch(/^# A restore is under way/);
  return lines;
}
