import type { BackupsLook } from "../../../provider/distributions/distribution";
import type { Cluster, SnapshotFile } from "../../../provider/model";
import { refuseForeignFolder, refuseTakenFolder } from "../../../provider/operations/shared-folder";
import type { LookedAt } from "../../../provider/operations/refuse-backups";
import type { SnapshotStore } from "../../../provider/stores/store";
import type { ConnectedHost } from "../../../provider/transport/connect";
import { embeddedFacts } from "../../support/embedded-facts";
import { fakeHost } from "../../support/fake-host";

const cluster: Cluster = { distribution: "k3s", name: "prod", servers: [{ name: "s1" }] };

describe("a folder of two clusters of one update", () => {
  test("is refused with both names", () => {
    refuseTakenFolder(cluster, { bucket: "b", folder: "shared" });
    expect(() => refuseTakenFolder({ ...cluster, name: "stage" }, { bucket: "b", folder: "shared" })).toThrow(
      expect.objectContaining({
        code: "SHARED_FOLDER",
        message: expect.stringContaining("prod and stage") as string,
      }) as Error,
    );
  });

  test("is the same cluster's again and again, and another endpoint's or folder's is another", () => {
    for (let round = 0; round < 2; round++) refuseTakenFolder(cluster, { bucket: "c" });
    refuseTakenFolder({ ...cluster, name: "stage" }, { bucket: "c" });
    refuseTakenFolder({ ...cluster, name: "stage" }, { bucket: "c", folder: "prod", endpoint: "s3.example.com" });
  });
});

describe("a folder with snapshots in it", () => {
  test("is refused when the newest say that they are another cluster's", async () => {
    await expect(refuse({ "k3s-cluster-id": "uid-2", "k3s-node-name": "w1" })).rejects.toMatchObject({
      code: "SHARED_FOLDER",
      message: expect.stringMatching(
        /before-s1-1700000000 is of the cluster uid-2, server w1; prod is uid-1/,
      ) as string,
    });
  });

  test.each<[string, Readonly<Record<string, string>> | undefined, string | undefined]>([
    ["are this cluster's", { "k3s-cluster-id": "uid-1" }, undefined],
    ["say nothing of whose they are", undefined, undefined],
    ["cannot be compared, because the API server does not answer", { "k3s-cluster-id": "uid-2" }, ""],
  ])("is taken when they %s", async (_, metadata, uid) => {
    await expect(refuse(metadata, uid)).resolves.toBeUndefined();
  });

  test("is not asked of a file that is no snapshot", async () => {
    await expect(refuse({ "k3s-cluster-id": "uid-2" }, "uid-1", "notes.txt")).resolves.toBeUndefined();
  });
});

function refuse(
  metadata: Readonly<Record<string, string>> | undefined,
  uid = "uid-1",
  name = "before-s1-1700000000",
): Promise<void> {
  const file: SnapshotFile = {
    ...{ name, location: { kind: "s3", bucket: "b", key: `prod/${name}` }, sizeBytes: 544 },
    ...{ takenAt: "2026-01-01T00:00:00.000Z", ...(metadata === undefined ? {} : { metadata }) },
  };
  const store = { title: "s3://b/prod", stat: () => Promise.resolve(file) } as unknown as SnapshotStore;
  const host = fakeHost("s1", [{ to: "get namespace kube-system", reply: uid }]) as unknown as ConnectedHost;
  const look = { host, facts: embeddedFacts() } as unknown as LookedAt & BackupsLook;
  return refuseForeignFolder(cluster, store, [file], look);
}
