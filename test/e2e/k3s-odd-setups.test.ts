// Servers as people really have them: nothing is where the documentation has it.
import { randomUUID } from "node:crypto";
import { type RestoreReport, restoreSnapshot } from "../../provider/operations/restore";
import { closeConnections } from "../../provider/transport/connect";
import type { Machine } from "../lab/machine";
import { type K3sLab, labelOf, startK3sLab } from "../support/k3s-program";
import { leftovers, saveByItself, usersFiles, writeAfter, writeCanary } from "../support/k3s-restore-oracles";
import { listeningCall } from "../support/restore-oracles";

let k3sLab: K3sLab;
let s1: Machine, s2: Machine, s3: Machine;

const restore = (snapshot: string): Promise<RestoreReport> =>
  restoreSnapshot(
    {
      ...k3sLab.cluster,
      servers: ["s1", "s2", "s3"].map((name) => ({ name, connection: { host: k3sLab.lab.machine(name).address } })),
    },
    { snapshot, triggers: [randomUUID()], safetySnapshot: true, bumpRevision: false },
    listeningCall(),
  );

beforeAll(async () => {
  k3sLab = await startK3sLab({ machines: ["s1", "s2", "s3"], k3s: { servers: ["s1"] } });
  [s1, s2, s3] = [k3sLab.lab.machine("s1"), k3sLab.lab.machine("s2"), k3sLab.lab.machine("s3")];
  // Its configuration is named by an argument, its data lies on another disk, and its snapshots on a third.
  await s1.exec(`systemctl stop k3s
mkdir -p /srv/conf /data && mv /etc/rancher/k3s/config.yaml /srv/conf/server.yml
mv /var/lib/rancher/k3s /data/k3s && ln -s ../../../data/k3s /var/lib/rancher/k3s
mkdir -p /data/k3s/server/db/snapshots && mount -t tmpfs -o size=64m snapshots /data/k3s/server/db/snapshots
sed -i "s|^    server |    server '--config' '/srv/conf/server.yml' |" /etc/systemd/system/k3s.service
systemctl daemon-reload && systemctl start k3s`);
  // Its configuration is nothing but a drop-in, its token a file, its name in capitals.
  await k3sLab.k3s.addServer(s2, { start: false, join: s1 });
  await s2.exec(`cd /etc/rancher/k3s && mkdir config.yaml.d
umask 077; sed -n 's/^token: "\\(.*\\)"/\\1/p' config.yaml >/etc/k3s.token
{ grep -v '^token' config.yaml; echo 'token-file: /etc/k3s.token'; echo 'node-name: S2.Example.COM'; } >config.yaml.d/10-mine.yaml
rm config.yaml; systemctl start k3s`);
  await k3sLab.k3s.addServer(s3, { join: s1 });
  await k3sLab.k3s.healthy();
}, 240_000);
afterAll(async () => {
  await closeConnections();
  await k3sLab.lab.down();
});

test(`${labelOf("k3s")}: configuration, data, snapshots, token and names elsewhere: restored, and every file of the user is the same`, async () => {
  const canary = await writeCanary(k3sLab.k3s, "odd");
  const path = await saveByItself(k3sLab.k3s, s1, "odd");
  await writeAfter(k3sLab.k3s, canary.name);
  const files = (): Promise<string[]> => Promise.all([s1, s2, s3].map((machine) => usersFiles(k3sLab.k3s, machine)));
  const before = await files();
  await restore(`file://s1${path}`);
  await k3sLab.k3s.healthy();
  for (const server of [s1, s2, s3]) {
    expect([server.name, await k3sLab.k3s.keys(server, "canary/")]).toEqual([server.name, ["canary/odd"]]);
    expect([server.name, await k3sLab.k3s.keys(server, "after/")]).toEqual([server.name, []]);
    expect([server.name, await leftovers(k3sLab.k3s, server)]).toEqual([server.name, []]);
  }
  expect(await files()).toEqual(before);
  expect(await s1.exec("find /srv/conf | sort")).toBe("/srv/conf\n/srv/conf/server.yml\n");
  expect(
    await s1.exec(
      "readlink /var/lib/rancher/k3s; mountpoint -q /data/k3s/server/db/snapshots; ls /data/k3s/server/db/snapshots | grep -c .",
    ),
  ).toMatch(/data\/k3s\n[2-9]/);
  expect((await k3sLab.k3s.kubectl(s1, ["get", "nodes", "-o", "name"])).split("\n").sort().join(" ")).toBe(
    " node/s1 node/s2.example.com node/s3",
  );
});

test(`${labelOf("k3s")}: a journal that was damaged keeps nobody from a restore`, async () => {
  await s1.exec(`printf 'open\\t12' >>/var/lib/etcd-backup/demo/journal`);
  await s2.exec(`head -c 300 /dev/urandom >/var/lib/etcd-backup/demo/journal`);
  await s3.exec(`: >/var/lib/etcd-backup/demo/journal`);
  const canary = await writeCanary(k3sLab.k3s, "journal");
  const path = await saveByItself(k3sLab.k3s, s3, "journal");
  await writeAfter(k3sLab.k3s, canary.name);
  await restore(`file://s3${path}`);
  await k3sLab.k3s.healthy();
  expect(await k3sLab.k3s.keys(s2, "canary/journal")).toEqual(["canary/journal"]);
  expect(await k3sLab.k3s.keys(s2, "after/journal")).toEqual([]);
});

test(`${labelOf("k3s")}: a disk that is full when the reset writes: every server is as it was, with the newest data`, async () => {
  await s1.exec(`systemctl stop k3s; umount /data/k3s/server/db/snapshots
cd /data/k3s/server && mv db db.before && mkdir -m 700 db && mount -t tmpfs -o size=900m small db
cp -a db.before/. db/ && rm -r db.before && systemctl start k3s`);
  await k3sLab.k3s.healthy();
  const path = await saveByItself(k3sLab.k3s, s3, "full");
  await k3sLab.k3s.putKeys(s1, { "newest/1": "x" });
  // It fills up while the first server stops.
  await s1.exec(`mkdir -p /etc/systemd/system/k3s.service.d
printf '[Service]\\nExecStartPre=/bin/rm -f /data/k3s/server/db/fill\\nExecStopPost=/bin/sh -c "dd if=/dev/zero of=/data/k3s/server/db/fill bs=64k 2>/dev/null; true"\\n' >/etc/systemd/system/k3s.service.d/fill.conf; systemctl daemon-reload`);
  const error: unknown = await restore(`file://s3${path}`).catch((failed: unknown) => failed);
  expect(error).toMatchObject({
    ...{ code: "RESTORE_ABANDONED", message: expect.stringContaining("no space left on device") as string },
  });
  await s1.exec("rm -rf /etc/systemd/system/k3s.service.d /data/k3s/server/db/fill; systemctl daemon-reload");
  await k3sLab.k3s.healthy();
  for (const server of [s1, s2, s3]) expect(await k3sLab.k3s.keys(server, "newest/")).toEqual(["newest/1"]);
});
