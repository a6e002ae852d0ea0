import type { Finding, RestoreLook } from "../../../../../provider/distributions/distribution";
import type { EmbeddedFacts } from "../../../../../provider/distributions/embedded-etcd/facts";
import { memberFindings } from "../../../../../provider/distributions/embedded-etcd/restore/member-findings";
import type { MemberLook, Members } from "../../../../../provider/distributions/members";
import { embeddedFacts, type GivenEmbeddedFacts, rke2Program } from "../../../../support/embedded-facts";

const addresses = ["10.0.0.11", "10.0.0.12", "10.0.0.13"];
const listed = addresses.map((address, index) => member(`s${index + 1}-ours`, address));

/** Whose members were asked for the list, in order. */
let asked: string[];
beforeEach(() => (asked = []));

test("a cluster whose members all answer, and are all listed, has nothing against it", async () => {
  expect(await findings({})).toEqual([]);
});

test("without a quorum nothing is said of members: that is what a restore is for", async () => {
  expect(await findings({ silent: ["s1", "s2", "s3"], quorum: false })).toEqual([]);
  expect(asked).toEqual([]);
});

describe("a member that is lost while a quorum is alive", () => {
  test("is replaced in the distribution's own way; whoever accepts that restores", async () => {
    const [found, ...more] = await findings({ silent: ["s2"] });
    expect(more).toEqual([]);
    expect(found).toMatchObject({ code: "MEMBER_LOST", mayAccept: true });
    expect(found?.text.split("\n")).toEqual([
      "s2: its member does not answer, while the others have a quorum: nothing has to be restored. Replace it:",
      "  on s1: /usr/local/bin/k3s kubectl delete node s2",
      "  on s2: systemctl stop k3s.service",
      "  on s2: mv /var/lib/rancher/k3s/server/db/etcd /var/lib/rancher/k3s/server/db/etcd.lost",
      "  on s2: systemctl start --no-block k3s.service, with `server: https://10.0.0.11:6443` in /etc/rancher/k3s/config.yaml; K3s joins again",
    ]);
  });

  test("of RKE2 is stopped with its containers, and asks the supervisor's port of a living server", async () => {
    const [found] = await findings({ silent: ["s1"], own: { program: rke2Program } });
    expect(found?.text).toMatch(/on s2: \S+\/bin\/kubectl --kubeconfig \S+ delete node s1$/m);
    expect(found?.text).toMatch(/on s1: systemctl stop rke2-server\.service; rke2-killall\.sh$/m);
    expect(found?.text).toContain("https://10.0.0.12:9345");
  });
});

describe("a member that nobody listed", () => {
  test("is named with its address: left running, it would go on with the old data", async () => {
    const found = await findings({ more: [member("s4-99999999", "10.0.0.14")] });
    expect(found).toEqual([
      {
        ...{ code: "MEMBER_LOST", mayAccept: true },
        text: expect.stringMatching(/s4-99999999 \(https:\/\/10\.0\.0\.14:2380\).*`servers`/) as string,
      },
    ]);
  });

  test("is not one that goes by another name, or that has another port, on the same address", async () => {
    expect(await findings({ more: [member("s1-99999999", "10.0.0.11"), member("x", "10.0.0.12", 12380)] })).toEqual([]);
  });

  test("is not one of ours whose machine has another address by now", async () => {
    expect(await findings({ more: [member("s1-ours", "10.0.0.99")] })).toEqual([]);
  });

  test("is asked for of one living member after the other, until one lists them", async () => {
    const found = await findings({ silent: ["s1"], failing: ["s2"], more: [member("s4-99999999", "10.0.0.14")] });
    expect(asked).toEqual(["s2", "s3"]);
    expect(found.map(({ text }) => text.split("\n")[0])).toEqual([
      expect.stringMatching(/^s1: its member does not answer/),
      expect.stringContaining("s4-99999999"),
    ]);
  });

  test("may be there where no member lists any: that is told, beside who is lost, and may be accepted", async () => {
    const found = await findings({ silent: ["s2"], failing: ["s1", "s3"] });
    expect(asked).toEqual(["s1", "s3"]);
    expect(found).toEqual([
      expect.objectContaining({ text: expect.stringMatching(/^s2: its member does not answer/) as string }),
      {
        ...{ code: "MEMBER_LOST", mayAccept: true },
        text: expect.stringMatching(/^etcd's members could not be listed: .*`servers`/) as string,
      },
    ]);
  });
});

interface Scene {
  readonly silent?: readonly string[];
  readonly quorum?: boolean;
  readonly own?: GivenEmbeddedFacts;
  readonly more?: typeof listed;
  /** Whose members answer, but do not list any. */
  readonly failing?: readonly string[];
}

function findings({ silent = [], quorum = true, own = {}, more = [], failing = [] }: Scene): Promise<Finding[]> {
  const servers = addresses.map((address, index) => {
    const server = `s${index + 1}`;
    const access = embeddedFacts({ server, ...own }).member;
    return embeddedFacts({
      server,
      address,
      ...own,
      member: { ...access, name: `${server}-ours`, peerUrls: [`https://${address}:2380`] },
    });
  });
  const list = (server: string): Promise<typeof listed> => {
    asked.push(server);
    return failing.includes(server) ? Promise.reject(new Error("no answer")) : Promise.resolve([...listed, ...more]);
  };
  const members = {
    use: ({ server }: EmbeddedFacts, work: (one: unknown) => unknown) => work({ members: () => list(server) }),
  } as unknown as Members;
  const status = new Map(
    servers.map(({ server }) => [server, silent.includes(server) ? undefined : ({} as MemberLook)]),
  );
  return memberFindings({ servers, hosts: new Map(), members, status, quorum } satisfies RestoreLook<EmbeddedFacts>);
}

function member(
  name: string,
  address: string,
  port = 2380,
): {
  readonly id: string;
  readonly name: string;
  readonly peerUrls: string[];
  readonly clientUrls: string[];
  readonly isLearner: boolean;
} {
  return { id: name, name, peerUrls: [`https://${address}:${port}`], clientUrls: [], isLearner: false };
}
