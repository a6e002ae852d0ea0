import { firstServer, restorePlaces } from "../../../../../provider/distributions/embedded-etcd/restore/restore-places";
import { effectiveSettings, setting } from "../../../../../provider/distributions/embedded-etcd/settings/config-files";
import { embeddedFacts, type GivenEmbeddedFacts } from "../../../../support/embedded-facts";

const joined = { args: ["--server", "https://10.0.0.9:6443"] };
const first = (...servers: readonly GivenEmbeddedFacts[]): string | undefined =>
  firstServer(servers.map((own, index) => embeddedFacts({ server: `s${index + 1}`, ...own })))?.server;

test("old data is set aside beside where it was, so that a rename is all it takes; what is ours lies with us", () => {
  const places = restorePlaces("prod", embeddedFacts({ dataDir: "/srv/k3s" }), "a1");
  expect(places).toEqual({
    work: "/var/lib/etcd-backup/prod/restore-a1",
    staged: "/var/lib/etcd-backup/prod/restore-a1/snapshot",
    log: "/var/lib/etcd-backup/prod/restore-a1/reset.log",
    aside: "/srv/k3s/server/db/etcd.before-a1",
    identity: "/srv/k3s/server/before-a1",
    dropIn: "/etc/rancher/k3s/config.yaml.d/~~~etcd-backup-restore.yaml",
    resetUnit: "etcd-backup-reset-a1.service",
  });
});

test("what counts only for the restore is read last, after what is ours for good", () => {
  const { dropIn } = restorePlaces("prod", embeddedFacts(), "a1");
  const files = [
    { path: dropIn, text: "server: restore" },
    ...["99-mine.yaml", "etcd-backup.yaml", "~etcd-backup.yaml", "~~etcd-backup.yaml"].map((name) => ({
      ...{ path: `/etc/rancher/k3s/config.yaml.d/${name}`, text: "server: other" },
    })),
    { path: "/etc/rancher/k3s/config.yaml", text: "server: other" },
  ];
  const settings = effectiveSettings({ prefix: "K3S", files, args: [], environment: [] });
  expect(setting(settings, "server")).toBe("restore");
});

describe("the server that is reset", () => {
  test("is one that never joined another, else the first of the list", () => {
    expect(first(joined, {}, joined)).toBe("s2");
    expect(first(joined, joined)).toBe("s1");
    expect(first({}, {})).toBe("s1");
    expect(first()).toBeUndefined();
  });

  // A cut-off attempt has put things on one server, and only there can they be put back.
  const open = "open\t1\ta1\t{}\n";
  const staged = `${open}begin\t2\ts2:stage\tboot-1\n`;
  test("stays the same while an attempt is open, whatever has become of order and settings", () => {
    expect(first({ journal: open }, { ...joined, journal: staged }, {})).toBe("s2");
  });

  test.each(["closed\t3\tabandoned\t\n", "closed\t3\tdone\t\n", "undone\t3\ts2:stage\t\n"])(
    "is chosen anew after %j",
    (line) => {
      expect(first({ journal: open }, { ...joined, journal: staged + line })).toBe("s1");
    },
  );
});
