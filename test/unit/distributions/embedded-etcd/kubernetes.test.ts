import {
  awaitApi,
  forgetNodePasswords,
  forgetStaleNodes,
} from "../../../../provider/distributions/embedded-etcd/kubernetes";
import { embeddedFacts, rke2Program } from "../../../support/embedded-facts";
import { commandFails, type FakeHost, fakeHost } from "../../../support/fake-host";

jest.mock("node:timers/promises", () => ({ setTimeout: () => Promise.resolve() }));

const facts = embeddedFacts();

describe("the API server is waited for", () => {
  const wait = (...answers: readonly string[]): Promise<void> => {
    const host = fakeHost("s1", [
      ...answers.map((reply) => ({ to: "/readyz", reply, times: 1 })),
      { to: "/readyz", reply: answers.at(-1) ?? "" },
    ]);
    return awaitApi(host, facts, answers.length > 1 ? 60_000 : 1);
  };

  test("until it is ready, whatever kubectl has to say before", async () => {
    await wait("The connection to the server was refused\n", "[-]etcd failed\n", "Warning: no version\nok");
  });

  test.each(["", "Unauthorized\n", "not ok"])("%j is not an answer to go on with", async (said) => {
    await expect(wait(said)).rejects.toMatchObject({
      ...{ code: "CLUSTER_UNHEALTHY", message: expect.stringContaining(`last seen: ${said.trim()}`) as string },
    });
  });
});

test("the passwords of nodes are forgotten by the distribution's own name of them", () => {
  expect(forgetNodePasswords(facts, ["n1", "n2"]).text).toBe(
    "timeout 60 /usr/local/bin/k3s kubectl --namespace kube-system delete secret --ignore-not-found n1.node-password.k3s n2.node-password.k3s",
  );
  const rke2 = embeddedFacts({ program: rke2Program, dataDir: "/srv/my rke2" });
  expect(forgetNodePasswords(rke2, ["n1"]).text).toMatch(
    /'\/srv\/my rke2\/bin\/kubectl' --kubeconfig .* n1\.node-password\.rke2$/,
  );
});

describe("Nodes of servers that are no more", () => {
  const cluster = (...nodes: readonly (readonly string[])[]): FakeHost =>
    fakeHost("s1", [
      ...nodes.map((names) => ({ to: "get nodes", reply: names.map((name) => `node/${name}\n`).join(""), times: 1 })),
      { to: "get nodes", reply: (nodes.at(-1) ?? []).map((name) => `node/${name}\n`).join("") },
      { to: "delete node", reply: "" },
    ]);
  const deleted = (host: FakeHost): string[] =>
    host.scripts.flatMap((text) => /delete node --ignore-not-found (.*)$/.exec(text)?.slice(1) ?? []);

  test("are deleted; only etcd's servers are asked for", async () => {
    const host = cluster(["s1", "old1", "s2", "old2"]);
    await forgetStaleNodes(host, facts, ["s1", "s2"]);
    expect(deleted(host)).toEqual(["old1 old2"]);
    expect(host.scripts[0]).toContain("--selector node-role.kubernetes.io/etcd=true");
  });

  test("where there are none, nothing is done", async () => {
    const host = cluster(["s1", "s2"]);
    await forgetStaleNodes(host, facts, ["s1", "s2", "s3"]);
    expect(host.transcript).toEqual(["query get nodes"]);
  });

  test("a new machine's own Node is waited for first", async () => {
    const host = cluster(["old1"], ["old1"], ["old1", "new1"]);
    await forgetStaleNodes(host, facts, ["new1"]);
    expect(deleted(host)).toEqual(["old1"]);
  });

  test("a Node that has its server's name and an id is its server's", async () => {
    const host = cluster(["s1-0a1b2c3d", "s1-west", "s10", "old"]);
    await forgetStaleNodes(host, facts, ["s1"]);
    expect(deleted(host)).toEqual(["s1-west s10 old"]);
  });

  test("while a server is not found among them, none is deleted: with a Node goes its etcd member", async () => {
    const now = jest.spyOn(Date, "now").mockImplementation(() => (clock += 10_000));
    let clock = 0;
    const host = cluster(["ip-10-0-0-11.internal", "ip-10-0-0-12.internal"]);
    await forgetStaleNodes(host, facts, ["s1", "s2"]).finally(() => now.mockRestore());
    expect(deleted(host)).toEqual([]);
  });

  test("an API server that fails is an error, not an empty cluster", async () => {
    const host = fakeHost("s1", [{ to: "get nodes", reply: commandFails("s1", "refused") }]);
    await expect(forgetStaleNodes(host, facts, ["s1"])).rejects.toMatchObject({ stderr: "refused" });
  });
});
