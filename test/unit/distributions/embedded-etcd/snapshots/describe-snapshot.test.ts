import { describeSnapshot } from "../../../../../provider/distributions/embedded-etcd/snapshots/describe-snapshot";
import type { HostReader } from "../../../../../provider/transport/host";
import { recordedNames, recordedSnapshot, recordedStatuses } from "../../../../support/snapshots";

const path = "/var/lib/rancher/k3s/server/db/snapshots/before-s1-1700000000";

test.each(recordedNames.filter((name) => name.startsWith("k3s-")))(
  "the revision of %s is what etcd's own tool says",
  async (name) => {
    const { host, bytesRead } = serving(recordedSnapshot(name));
    expect(await describeSnapshot(host, undefined, path)).toEqual({
      revision: recordedStatuses[name]?.["3.6"].revision,
    });
    expect(bytesRead()).toBeLessThan(recordedSnapshot(name).length / 2);
  },
);

test("what cannot be read is not told: the snapshot is there all the same", async () => {
  expect(await describeSnapshot(serving(Buffer.alloc(8224, 7)).host, undefined, path)).toEqual({});
});

test("a zip is not unpacked for it", async () => {
  expect(await describeSnapshot(serving(Buffer.alloc(0)).host, undefined, `${path}.zip`)).toEqual({});
});

test("a server that cannot be asked is no damage of the file", async () => {
  const { host } = serving(recordedSnapshot(recordedNames[0] ?? ""));
  const away = { ...host, readRange: () => Promise.reject(new Error("connection lost")) };
  await expect(describeSnapshot(away, undefined, path)).rejects.toThrow("connection lost");
});

function serving(file: Buffer): { readonly host: HostReader; readonly bytesRead: () => number } {
  let total = 0;
  return {
    bytesRead: () => total,
    host: {
      name: "s1",
      query: () => Promise.resolve({ stdout: `${file.length}\n`, stderr: "" }),
      readFile: () => Promise.reject(new Error("not scripted")),
      readRange: (_, offset, length) => {
        total += length;
        return Promise.resolve(file.subarray(offset, offset + length));
      },
    },
  };
}
