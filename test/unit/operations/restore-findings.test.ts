import * as distributions from "../../../provider/distributions";
import type { Distribution, Finding } from "../../../provider/distributions/distribution";
import type { Cluster } from "../../../provider/model";
import type { FoundSnapshot } from "../../../provider/operations/find-snapshot";
import type { ClusterLook } from "../../../provider/operations/look-at-cluster";
import * as reaching from "../../../provider/operations/reach";
import type { RestoreRequest } from "../../../provider/operations/restore";
import { refuseFindings, restoreFindings } from "../../../provider/operations/restore-findings";
import type { ConnectedHost } from "../../../provider/transport/connect";
import { fakeHost } from "../../support/fake-host";

jest.mock("../../../provider/distributions");
jest.mock("../../../provider/operations/reach");
const { distributionOf } = jest.mocked(distributions);
const { reachServer } = jest.mocked(reaching);

const cluster: Cluster = { distribution: "etcd", name: "prod", servers: [{ name: "s1" }] };
const look = { servers: [], hosts: new Map() } as unknown as ClusterLook;
const snapshot = { file: { name: "x.db" } } as FoundSnapshot;
const request: RestoreRequest = { snapshot: "x.db", triggers: [], safetySnapshot: true, bumpRevision: true };

const firm: Finding = { code: "NO_SPACE", text: "s1: no space" };
const soft: Finding = { code: "SETTING_NOT_FOUND", text: "s1: another version", mayAccept: true };

beforeEach(() => jest.resetAllMocks());

test("the distribution is asked, about this snapshot and the token that is given for it", async () => {
  const findings = finds();
  expect(await restoreFindings(cluster, look, snapshot, { ...request, token: "K10abc" })).toEqual([]);
  expect(findings.mock.calls).toEqual([[cluster, look, snapshot.file, "K10abc"]]);
});

test.each([
  ["that of the restore before that of the cluster", { token: "then" }, { token: "now" }, "then"],
  ["that of the cluster where the restore has none", {}, { token: "now" }, "now"],
  ["none where none is given", {}, {}, undefined],
])("the snapshot's token is %s", async (_, own, ofCluster, expected) => {
  const findings = finds();
  await restoreFindings({ ...cluster, ...ofCluster }, look, snapshot, { ...request, ...own });
  expect(findings.mock.calls).toEqual([[expect.anything(), look, snapshot.file, expected]]);
});

describe("a finding that may be accepted", () => {
  test.each([[undefined], [[]], [["NO_SPACE"]], [["setting_not_found"]]])(
    "stands with `accept: %j`, and its text names the way",
    async (accept) => {
      finds(soft);
      const [found] = await restoreFindings(cluster, look, snapshot, { ...request, accept });
      expect(found).toMatchObject({
        ...{ code: "SETTING_NOT_FOUND" },
        text: 's1: another version\nTo restore all the same: `accept: ["SETTING_NOT_FOUND"]`.',
      });
    },
  );

  test("is overruled by its code alone: every other one stands", async () => {
    const other: Finding = { ...soft, code: "TOOL_MISSING", text: "s2: an older tool" };
    finds(soft, other, firm);
    const found = await restoreFindings(cluster, look, snapshot, { ...request, accept: ["SETTING_NOT_FOUND"] });
    expect(found.map(({ code }) => code)).toEqual(["TOOL_MISSING", "NO_SPACE"]);
  });

  test("stands in nobody's way once it is accepted", async () => {
    finds(soft);
    await refuseFindings(cluster, look, snapshot, { ...request, accept: ["SETTING_NOT_FOUND"] });
  });
});

test("any other finding is not accepted, whatever the request accepts, and names no way", async () => {
  finds(firm);
  expect(await restoreFindings(cluster, look, snapshot, { ...request, accept: ["NO_SPACE"] })).toEqual([firm]);
});

test("a refusal has the first finding's code, tells all, and says that nothing was touched", async () => {
  finds(firm, { code: "TOOL_MISSING", text: "s1: there is no flock" });
  await expect(refuseFindings(cluster, look, snapshot, request)).rejects.toMatchObject({
    ...{ code: "NO_SPACE", hint: "Nothing was touched." },
    message: "s1: no space\ns1: there is no flock\nNothing was touched.",
  });
});

describe("an API server", () => {
  const withApis: Cluster = { ...cluster, apiServers: [{ name: "api1" }, { name: "api2", unit: "own.service" }] };
  const units = (missing: Readonly<Record<string, string>>): void => {
    reachServer.mockImplementation((_, { name }) => {
      const to = name === "api1" ? "systemctl cat kube-apiserver.service" : "systemctl cat own.service";
      return Promise.resolve(fakeHost(name, [{ to, reply: missing[name] ?? "" }]) as unknown as ConnectedHost);
    });
  };

  test("whose unit is there stands in nobody's way", async () => {
    finds();
    units({});
    expect(await restoreFindings(withApis, look, snapshot, request)).toEqual([]);
  });

  test.each([
    ["api1", "kube-apiserver.service"],
    ["api2", "own.service"],
  ])("%s without its unit is refused after what the distribution finds, and is not accepted", async (name, unit) => {
    finds(firm);
    units({ [name]: "missing\n" });
    const accepting = { ...request, accept: ["SETTING_NOT_FOUND"] };
    expect(await restoreFindings(withApis, look, snapshot, accepting)).toEqual([
      firm,
      { code: "SETTING_NOT_FOUND", text: `${name}: there is no unit ${unit}; give the API server's \`unit\`` },
    ]);
  });

  test("that cannot be reached is found out before anything is touched", async () => {
    finds();
    reachServer.mockRejectedValue(new Error("gone"));
    await expect(restoreFindings(withApis, look, snapshot, request)).rejects.toThrow("gone");
  });
});

/** What the distribution finds. */
function finds(...found: readonly Finding[]): jest.Mock {
  const findings = jest.fn(() => Promise.resolve(found));
  distributionOf.mockReturnValue({ restores: { findings } } as unknown as Distribution);
  return findings;
}
