import { restorePlaces } from "../../../../provider/distributions/etcd/restore-places";
import { bootOfBegin, canGoBack } from "../../../../provider/distributions/etcd/settle";
import { etcdFacts } from "../../../support/etcd-facts";
import { fakeHost } from "../../../support/fake-host";

const facts = etcdFacts();
const places = restorePlaces("prod", facts, "a1");

interface Seen {
  readonly files?: string;
  readonly boot?: string;
  readonly code?: string;
  readonly status?: string;
  readonly restarts?: string;
  readonly prepared?: string;
  readonly now?: string;
}

function verdict(seen: Seen, startedIn: string | undefined = "boot-1"): Promise<boolean> {
  const { files = "changed", boot = "boot-1", code = "2", status = "15", restarts = "0" } = seen;
  const { prepared = '{"revision":500}', now = '{"revision":500}' } = seen;
  const said = `ExecMainCode=${code}\nExecMainStatus=${status}\nNRestarts=${restarts}\nfiles=${files}\nboot=${boot}\nprepared=${prepared}\nnow=${now}\n`;
  return canGoBack(fakeHost("s1", [{ to: "ExecMainCode", reply: said }]), facts, places, startedIn);
}

test.each<[string, Seen]>([
  ["ended by SIGTERM at the revision it was restored to", {}],
  ["ended by itself, well", { code: "1", status: "0" }],
  ["never changed a file, however it ended", { files: "same", code: "2", status: "9", restarts: "7", now: "" }],
])("back: a member that %s", async (_, seen) => {
  expect(await verdict(seen)).toBe(true);
});

test.each<[string, Seen]>([
  ["took writes", { now: '{"revision":501}' }],
  ["was killed", { status: "9" }],
  ["failed", { code: "1", status: "1" }],
  ["dumped core", { code: "3", status: "6" }],
  ["was started again by systemd", { restarts: "1" }],
  ["lost power", { boot: "boot-2" }],
  ["does not tell its revision", { now: "" }],
  ["was restored to nobody knows what", { prepared: "", now: "" }],
  ["never ran as far as systemd knows", { code: "0", status: "0" }],
])("forward: a member that %s", async (_, seen) => {
  expect(await verdict(seen)).toBe(false);
});

test("a member that was never started is not even looked at", async () => {
  expect(await canGoBack(fakeHost("s1"), facts, places, undefined)).toBe(true);
});

test("a start belongs to the boot of its last line, by this server's own journal", async () => {
  const journal =
    "begin\t1\ts1:start\tboot-1\nbegin\t2\ts1:swap\tboot-2\nbegin\t3\ts1:start\tboot-3\ndone\t4\ts1:start\t\n";
  const host = (text: string | undefined): ReturnType<typeof fakeHost> =>
    fakeHost("s1", [], { "/var/lib/etcd-backup/prod/journal": text });
  expect(await bootOfBegin(host(journal), "prod", "s1:start")).toBe("boot-3");
  expect(await bootOfBegin(host(journal), "prod", "s2:start")).toBeUndefined();
  expect(await bootOfBegin(host(undefined), "prod", "s1:start")).toBeUndefined();
});
