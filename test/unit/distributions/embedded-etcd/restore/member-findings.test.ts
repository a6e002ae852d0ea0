import type { Finding, RestoreLook } from "../../../../../provider/distributions/distribution";
import type { EmbeddedFacts } from "../../../../../provider/distributions/embedded-etcd/facts";
import { memberFindings } from "../../../../../provider/distributions/embedded-etcd/restore/member-findings";
import * as members from "../../../../../provider/distributions/members";
import { embeddedFacts, type GivenEmbeddedFacts, rke2Program } from "../../../../support/embedded-facts";

jest.mock("../../../../../provider/distributions/members");
const { membersOf } = jest.mocked(members);

const addresses = ["10.0.0.11", "10.0.0.12", "10.0.0.13"];
const listed = addresses.map((address, index) => member(`s${index + 1}-ours`, address));

beforeEach(() => jest.resetAllMocks());

test("a cluster whose members all answer, and are all listed, has nothing against it", async () => {
  expect(await findings({})).toEqual([]);
});

test("without a quorum nothing is said of members: that is what a restore is for", async () => {
  expect(await findings({ silent: ["s1", "s2", "s3"], quorum: false })).toEqual([]);
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

  test("is not looked for where no member lists any: a restore must not need it", async () => {
    expect(await findings({ unanswered: true })).toEqual([]);
  });
});

interface Scene {
  readonly silent?: readonly string[];
  readonly quorum?: boolean;
  readonly own?: GivenEmbeddedFacts;
  readonly more?: typeof listed;
  readonly unanswered?: true;
}

function findings({ silent = [], quorum = true, own = {}, more = [], unanswered }: Scene): Promise<Finding[]> {
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
  const list = (): Promise<typeof listed> =>
    unanswered === true ? Promise.reject(new Error("no answer")) : Promise.resolve([...listed, ...more]);
  membersOf.mockReturnValue({
    use: (_: unknown, work: (one: unknown) => unknown) => work({ members: list }),
  } as unknown as members.Members);
  const status = new Map(
    servers.map(({ server }) => [server, silent.includes(server) ? undefined : ({} as members.MemberLook)]),
  );
  return memberFindings({ servers, hosts: new Map(), status, quorum } satisfies RestoreLook<EmbeddedFacts>);
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
