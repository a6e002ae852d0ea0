import type { EtcdFacts } from "../../../provider/distributions/etcd/facts";
import { membersOf } from "../../../provider/distributions/members";
import type { Cluster } from "../../../provider/model";
import type { ConnectedHost } from "../../../provider/transport/connect";
import * as etcd from "../../../provider/transport/etcd";
import { etcdFacts } from "../../support/etcd-facts";
import { type Answer, commandFails, type FakeHost, fakeHost } from "../../support/fake-host";

jest.mock("../../../provider/transport/etcd");
const { openEtcd } = jest.mocked(etcd);

const cluster: Cluster = { distribution: "etcd", name: "prod", servers: [{ name: "s1" }, { name: "s2" }] };
const servers = ["s1", "s2"].map((server) => etcdFacts({ server }));
const listed = ["s1", "s2"].map((name) => ({
  id: name,
  name,
  peerUrls: [`https://${name}:2380`],
  clientUrls: [],
  isLearner: false,
}));
const close = jest.fn(() => Promise.resolve());

/** What a member says; undefined: it does not answer. */
interface Member {
  readonly revision?: number;
  readonly hash?: number;
  readonly errors?: readonly string[];
  readonly listed?: typeof listed;
  readonly isLearner?: boolean;
  readonly leaderId?: string;
}

beforeEach(() => jest.resetAllMocks());

describe("equal members", () => {
  test("are all voters of one cluster, with one hash at the lowest revision", async () => {
    const members = saying({ s1: { revision: 9, hash: 5 }, s2: { revision: 7, hash: 5 } });
    expect(await members.waitForEqualMembers(servers, 1)).toEqual({
      revision: 7,
      alarms: [],
      members: listed.map(({ id, name, peerUrls }) => ({ id, name, peerUrls })),
    });
    expect(close).toHaveBeenCalledTimes(openEtcd.mock.calls.length);
  });

  test("say which alarms came back with the data, each once", async () => {
    const raised = { errors: ["memberID:10501334649042878790 alarm:NOSPACE "] };
    const { alarms } = await saying({ s1: raised, s2: raised }).waitForEqualMembers(servers, 1);
    expect(alarms).toEqual(["NOSPACE"]);
  });

  test("may have other names than their servers: a member is known by its id", async () => {
    const renamed = listed.map((one) => ({ ...one, name: `${one.name}-1a2b3c4d` }));
    const { members } = await saying({ s1: { listed: renamed }, s2: { listed: renamed } }).waitForEqualMembers(
      servers,
      1,
    );
    expect(members.map(({ name }) => name)).toEqual(["s1-1a2b3c4d", "s2-1a2b3c4d"]);
  });

  test.each<[string, Readonly<Record<string, Member | undefined>>, RegExp]>([
    ["one is silent", { s1: {}, s2: undefined }, /s2: no answer/],
    ["they have parted", { s1: { hash: 5 }, s2: { hash: 6 } }, /hashes at revision 7: s1 5, s2 6/],
    [
      "one is missing from a list",
      { s1: {}, s2: { listed: listed.slice(0, 1) } },
      /s2 lists the voters s1, not those of s1, s2/,
    ],
    [
      "one is a learner",
      { s1: {}, s2: { listed: listed.map((one) => ({ ...one, isLearner: one.id === "s2" })) } },
      /lists the voters s1, not those of s1, s2/,
    ],
    [
      "a third one is listed",
      { s1: { listed: [...listed, { ...listed[0], id: "s3", name: "s3" }] as typeof listed }, s2: {} },
      /s1 lists the voters s1, s2, s3/,
    ],
    [
      "another one is listed under a server's name",
      { s1: {}, s2: { listed: listed.map((one) => (one.id === "s1" ? { ...one, id: "gone" } : one)) } },
      /s2 lists the voters s1, s2, not those of s1, s2/,
    ],
  ])("are not there while %s: the error says so, and what etcd said last", async (_, said, expected) => {
    await expect(saying(said).waitForEqualMembers(servers, 1)).rejects.toMatchObject({
      code: "CLUSTER_UNHEALTHY",
      message: expect.stringMatching(expected) as string,
    });
    await expect(saying(said).waitForEqualMembers(servers, 1)).rejects.toMatchObject({
      message: expect.stringMatching(/s1 \| last words of s1[^]*s2 \| last words of s2/) as string,
    });
  });
});

test("a member that does not answer is undefined to a look, and the others still answer", async () => {
  const looks = await saying({ s1: { revision: 3 }, s2: undefined }).look();
  expect([looks.get("s1")?.revision, looks.get("s2")]).toEqual([3, undefined]);
});

test("a wait for answers names who is silent", async () => {
  await saying({ s1: {}, s2: undefined }).waitForAnswers(["s1"], 1);
  await expect(saying({ s1: {}, s2: undefined }).waitForAnswers(["s1", "s2"], 1)).rejects.toMatchObject({
    message: expect.stringContaining("no answer on s2") as string,
  });
});

describe("a wait for one member to vote", () => {
  const [s1, s2] = ["s1", "s2"].map((server) => etcdFacts({ server })) as [EtcdFacts, EtcdFacts];

  test("ends when it is a voter that knows a leader, whatever the others are", async () => {
    const members = saying({ s1: {}, s2: undefined });
    await members.waitForVoter(s1, 1);
    expect(close).toHaveBeenCalledTimes(1);
  });

  test("goes on while it is a learner", async () => {
    const states: Member[] = [{ isLearner: true }, {}];
    await saying({
      s1: {},
      get s2() {
        return states.length > 1 ? states.shift() : states[0];
      },
    }).waitForVoter(s2, 10_000);
    expect(states).toEqual([{}]);
  });

  test.each<[string, Member | undefined, string]>([
    ["is a learner", { isLearner: true }, "s2: its member is a voter: not after 0 s; last seen: it is a learner still"],
    ["knows no leader", { leaderId: "0" }, "s2: its member is a voter: not after 0 s; last seen: it knows no leader"],
    ["does not answer", undefined, "s2: its member is a voter: not after 0 s; last seen: no answer"],
  ])("fails when it %s until the end, and says what every etcd said last", async (_, said, message) => {
    await expect(saying({ s1: {}, s2: said }).waitForVoter(s2, 1)).rejects.toMatchObject({
      code: "CLUSTER_UNHEALTHY",
      message: `${message}\n  s1 | last words of s1\n  s2 | last words of s2`,
    });
  });
});

test("certificates are read on the server, and etcd's user goes with them", async () => {
  saying({ s1: {}, s2: {} });
  const members = membersOf({ ...cluster, username: "root", password: "secret" }, servers, hostsWith());
  await members.use(servers[0] ?? etcdFacts(), () => Promise.resolve());
  expect(openEtcd.mock.calls[0]?.[1]).toEqual({
    ...{ endpoint: "https://127.0.0.1:2379", ca: "CA", cert: "CERT", key: "KEY", username: "root", password: "secret" },
  });
});

test("without TLS none are read", async () => {
  saying({ s1: {} });
  const plain = etcdFacts({
    member: { cacert: undefined, cert: undefined, key: undefined, endpoint: "http://127.0.0.1:2379" },
  });
  await membersOf(cluster, [plain], new Map([["s1", connected(fakeHost("s1"))]])).use(plain, () => Promise.resolve());
  expect(openEtcd.mock.calls[0]?.[1]).toEqual({ endpoint: "http://127.0.0.1:2379" });
});

test("one that cannot be read is asked for by name", async () => {
  const broken = new Map([
    ["s1", connected(fakeHost("s1", [{ to: "show ca", reply: commandFails("s1", "cat: /pki/ca.crt: no") }]))],
  ]);
  const [facts = etcdFacts()] = servers;
  await expect(membersOf(cluster, servers, broken).use(facts, () => Promise.resolve())).rejects.toMatchObject({
    ...{ code: "SETTING_NOT_FOUND", host: "s1", message: expect.stringMatching(/\/pki\/ca\.crt.*`cacert`/) as string },
  });
});

function saying(said: Readonly<Record<string, Member | undefined>>): ReturnType<typeof membersOf> {
  openEtcd.mockImplementation((host) => {
    const member = said[host.name];
    if (member === undefined) return Promise.reject(new Error("no answer"));
    const { revision = 7, hash = 1, errors = [], listed: list = listed, isLearner = false, leaderId = "s1" } = member;
    const status = { memberId: host.name, leaderId, isLearner, revision, errors };
    return Promise.resolve({
      ...{ status: () => Promise.resolve(status), members: () => Promise.resolve(list), close },
      hashKv: () => Promise.resolve({ hash, compactRevision: 0, revision }),
    } as unknown as etcd.EtcdMember);
  });
  return membersOf(cluster, servers, hostsWith());
}

function hostsWith(): ReadonlyMap<string, ConnectedHost> {
  const answers = (name: string): Answer[] => [
    { to: "show ca", reply: "\n=certificate ca\nCA\n\n=certificate cert\nCERT\n\n=certificate key\nKEY\n" },
    { to: "journalctl", reply: `last words of ${name}\n` },
  ];
  return new Map(["s1", "s2"].map((name) => [name, connected(fakeHost(name, answers(name)))]));
}

/** Nothing here streams. */
function connected(host: FakeHost): ConnectedHost {
  return host as unknown as ConnectedHost;
}
