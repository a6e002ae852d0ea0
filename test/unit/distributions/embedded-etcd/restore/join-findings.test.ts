import { joinFindings } from "../../../../../provider/distributions/embedded-etcd/restore/join-findings";
import { embeddedFacts, type GivenEmbeddedFacts } from "../../../../support/embedded-facts";

const config = "/etc/rancher/k3s/config.yaml";
const first = embeddedFacts();
const found = (own: GivenEmbeddedFacts, of = first): ReturnType<typeof joinFindings> =>
  joinFindings([of, embeddedFacts({ server: "s2", address: "10.0.0.12", ...own })], of);

test.each<[string, GivenEmbeddedFacts]>([
  ["is not told to join any", {}],
  ["has another server in its file", { configFiles: [{ path: config, text: "server: https://10.0.0.99:6443" }] }],
  [
    "has another one in a drop-in, be it ours",
    { configFiles: [{ path: `${config}.d/~~etcd-backup.yaml`, text: "server: https://10.0.0.99:6443" }] },
  ],
  ["has another one in its environment", { environment: [{ name: "K3S_URL", value: "https://10.0.0.99:6443" }] }],
  ["has the first one in its arguments", { args: ["--server", "https://10.0.0.11:6443"] }],
  [
    "has what an attempt left that goes on",
    { configFiles: [{ path: `${config}.d/~~~etcd-backup-restore.yaml`, text: "server: https://10.0.0.99:6443" }] },
  ],
])("a peer that %s joins the first one: our file says so", (_, own) => {
  expect(found(own)).toEqual([]);
});

test.each(["--server=https://lb:6443", "-s=https://lb:6443"])(
  "a peer whose unit has %s would stay away; whoever knows better may accept that",
  (arg) => {
    expect(found({ args: [arg] })).toEqual([
      {
        ...{ code: "UNSUPPORTED_SETUP", mayAccept: true },
        text: expect.stringMatching(
          /^s2: ExecStart has --server https:\/\/lb:6443, but it has to join s1 \(https:\/\/10\.0\.0\.11:6443\); change it or take it out\./,
        ) as string,
      },
    ]);
  },
);

test("so would one with a file that is read after ours", () => {
  const path = `${config}.d/~~~~mine.yaml`;
  expect(found({ configFiles: [{ path, text: "server: https://lb:6443" }] })).toMatchObject([
    { text: expect.stringContaining(`${path} has --server`) as string },
  ]);
});

test("the first one's address and port are what it is told to join, in brackets where they are IPv6's", () => {
  const own = embeddedFacts({ address: "fd00::11", supervisorPort: 7443 });
  expect(found({ args: ["--server", "https://[fd00::11]:7443"] }, own)).toEqual([]);
  expect(found({ args: ["--server", "https://[fd00::11]:6443"] }, own)).toHaveLength(1);
});

test("the first one's own arguments do not matter: it is reset, and joins nobody", () => {
  const own = embeddedFacts({ args: ["--server", "https://10.0.0.99:6443"] });
  expect(found({}, own)).toEqual([]);
  expect(joinFindings([own], own)).toEqual([]);
  expect(joinFindings([own], undefined)).toEqual([]);
});

test("every peer is named", () => {
  const peers = ["s2", "s3"].map((server) => embeddedFacts({ server, args: ["--server", "https://lb:6443"] }));
  expect(joinFindings([first, ...peers], first).map(({ text }) => text.slice(0, 3))).toEqual(["s2:", "s3:"]);
});
