import type { Finding } from "../../../../../provider/distributions/distribution";
import { joinFindings } from "../../../../../provider/distributions/embedded-etcd/restore/join-findings";
import { embeddedFacts, type GivenEmbeddedFacts, rke2Program } from "../../../../support/embedded-facts";

const other = "https://10.0.0.99:6443";

test("servers that are told nothing, or to join the first one, will join it", () => {
  expect(found({}, {}, { args: ["--server", "https://10.0.0.11:6443"] })).toEqual([]);
});

test.each([[["--server", other]], [[`--server=${other}`]], [["-s", other]]])(
  "a unit with %j has the last word: that is told, and may be right",
  (args) => {
    const [finding, ...more] = found({}, { args }, {});
    expect(more).toEqual([]);
    expect(finding).toMatchObject({ code: "UNSUPPORTED_SETUP", mayAccept: true });
    expect(finding?.text).toMatch(
      /^s2: ExecStart has --server https:\/\/10\.0\.0\.99:6443, but it has to join s1 \(https:\/\/10\.0\.0\.11:6443\); change it/,
    );
  },
);

test("what files and environment say is overruled by a file that is read later", () => {
  const configFile = "/etc/rancher/k3s/config.yaml";
  const files = [configFile, `${configFile}.d/99.yaml`, `${configFile}.d/~~etcd-backup.yaml`];
  for (const path of files) expect(found({}, { configFiles: [{ path, text: `server: ${other}\n` }] })).toEqual([]);
  expect(found({}, { environment: [{ name: "K3S_URL", value: other }] })).toEqual([]);
});

test("the first one joins nobody: what its unit says is taken care of by the reset", () => {
  expect(found({ args: ["--server", other] })).toEqual([]);
});

test("RKE2 is joined at the supervisor's port, by an address of either kind", () => {
  const own = { program: rke2Program, address: "fd00::11" };
  expect(found(own, { ...own, args: ["--server=https://[fd00::11]:9345"] })).toEqual([]);
  expect(found(own, { ...own, args: ["--server=https://[fd00::11]:6443"] })).toHaveLength(1);
});

test("without a first server there is nothing to join", () => {
  expect(joinFindings([], undefined)).toEqual([]);
});

function found(...servers: readonly GivenEmbeddedFacts[]): Finding[] {
  const all = servers.map((own, index) => embeddedFacts({ server: `s${index + 1}`, ...own }));
  return joinFindings(all, all[0]);
}
