// The traps that a running K3s was seen to have, and that a restore or a snapshot of ours does not fall into. The stand-in
// has each of them, as its own tests show. By the numbers that they have here:
//
//  # trap                                                stand-in falls into it                           we do not
//  1 a failed restore has moved the data                 stand-in.test.ts "restores that fail"            here
//  2 a reset beside the running server                   stand-in.test.ts "beside the running server"     here
//  3 peers that run: two clusters                        stand-in.test.ts "while the peers run" (two)     here
//  4 a wrong token overwrites server/token               stand-in.test.ts "a wrong token"                 here
//  5 "up and running" and READY during a reset           stand-in.test.ts, faults reset-*                 here; unit reset.test.ts
//  6 an upload that fails exits 0                        stand-in.test.ts "an upload that fails"          k3s-snapshot.test.ts "its upload fails silently"
//  7 spellings of flags do not mix                       parse_test.go "TwoForms"                         here; unit save-snapshot.test.ts "the command"
//  8 retention prunes every name that begins alike       behaviour_test.go "RetentionTakesEveryName"      here; k3s-configure.test.ts "six scheduled rounds"
//  9 the time in a name is rounded                       behaviour_test.go "TheTimeInAName"               unit save-snapshot.test.ts "a name that lies in the future"
// 10 SIGTERM: exit 0, 1 or 2                             stand-in.test.ts "restores that fail" (2)        here
// 11 a Node deleted too early, and its member stays      kube_test.go "DeletingANode" (two)               here; unit known-issues.test.ts
// 12 zip, a joined server, TERM and KILL                 stand-in.test.ts "a path is looked up in S3"     here; k3s-restore.test.ts (zip)
// 13 the token's hash is in the file                     stand-in.test.ts "all are voters", bootstrap_test.go  here
import { randomUUID } from "node:crypto";
import { type RestoreReport, type RestoreRequest, restoreSnapshot } from "../../provider/operations/restore";
import { takeSnapshot } from "../../provider/operations/take-snapshot";
import { closeConnections } from "../../provider/transport/connect";
import type { Machine } from "../lab/machine";
import { waitFor } from "../lab/wait";
import { type K3sLab, labelOf, startK3sLab } from "../support/k3s-program";
import {
  leftovers,
  proveK3sRestored,
  saveByItself,
  usersFiles,
  writeAfter,
  writeCanary,
} from "../support/k3s-restore-oracles";
import { listeningCall } from "../support/restore-oracles";

const server = "/var/lib/rancher/k3s/server";
const faults = "/run/stand-in-faults";
let k3sLab: K3sLab;

function restore(snapshot: string, more: Partial<RestoreRequest> = {}): Promise<RestoreReport> {
  const request = { snapshot, triggers: [randomUUID()], safetySnapshot: false, bumpRevision: false, ...more };
  return restoreSnapshot(k3sLab.cluster, request, listeningCall());
}

/** The error that a restore ends with. */
async function refused(snapshot: string, more?: Partial<RestoreRequest>): Promise<Error> {
  const ended = await restore(snapshot, more).catch((error: unknown) => error);
  if (ended instanceof Error) return ended;
  throw new Error(`the restore of ${snapshot} did not fail`);
}

/** What a change of any kind would change: data, identity, processes, files of the user. */
async function traces(machine: Machine): Promise<string> {
  const seen = await machine.exec(`cd ${server}
stat -c '%n %i %a' db db/etcd db/etcd/member token tls cred; ls -A . db
sha256sum token; find tls cred -type f | sort | xargs sha256sum
systemctl show k3s -p MainPID -p ExecMainStartTimestampMonotonic -p ActiveState -p DropInPaths`);
  return `${seen}${await usersFiles(k3sLab.k3s, machine)}`;
}

/** Who a server is, what it has and that it runs: the same after a restore that was put back. Not who owns the process. */
async function identity(machine: Machine): Promise<string> {
  const seen = await machine.exec(`cd ${server}
stat -c '%n %i' db/etcd db/etcd/member; ls -A . db; cat token; find tls cred -type f ! -name '*.kubeconfig' | sort | xargs stat -c '%n %a %U'
find tls -name '*ca.key' -o -name '*ca.crt' | sort | xargs sha256sum; systemctl show k3s -p DropInPaths`);
  return `${seen}${await usersFiles(k3sLab.k3s, machine)}`;
}

/** What the journal says of the last attempt. */
async function lastAttempt(machine: Machine): Promise<string> {
  const journal = await machine.exec("cat /var/lib/etcd-backup/demo/journal 2>/dev/null || :");
  return journal.split(/^open/m).at(-1) ?? "";
}

async function resetBegins(): Promise<void> {
  const look = async (): Promise<true | undefined> => {
    const attempt = await lastAttempt(k3sLab.lab.machine("s1"));
    return (/^begin\t.*s1:reset/m.test(attempt) && !/^closed/m.test(attempt)) || undefined;
  };
  await waitFor("the reset has begun", look, { deadlineMs: 60_000, everyMs: 50 });
}

afterAll(() => closeConnections());

describe(`${labelOf("k3s")}: one server that has S3 in its configuration`, () => {
  let s1: Machine;
  let snapshot: string;

  beforeAll(async () => {
    k3sLab = await startK3sLab({
      machines: ["s1"],
      k3s: (s3) => ({
        token: "labtoken1",
        extraConfig: {
          ...{ "etcd-s3": true, "etcd-s3-endpoint": s3.endpoint, "etcd-s3-bucket": "etcd-backups" },
          ...{ "etcd-s3-access-key": s3.accessKeyId, "etcd-s3-secret-key": s3.secretAccessKey },
          ...{ "etcd-s3-endpoint-ca": Buffer.from(s3.caPem ?? "").toString("base64"), "etcd-s3-region": s3.region },
        },
      }),
    });
    s1 = k3sLab.lab.machine("s1");
    // It is the one that began the cluster: it knows its token by its data.
    await s1.exec("sed -i '/^token/d' /etc/rancher/k3s/config.yaml && systemctl restart k3s");
    await k3sLab.k3s.healthy();
    await k3sLab.k3s.putKeys(s1, { "canary/1": "x" });
    snapshot = await saveByItself(k3sLab.k3s, s1, "good");
    await k3sLab.k3s.putKeys(s1, { "newest/1": "x" });
  }, 180_000);
  afterAll(() => k3sLab.lab.down());

  /** It runs, as the one it was, with the newest data, and does so again when it is started anew. */
  const putBack = async (before: string): Promise<void> => {
    await k3sLab.k3s.healthy();
    expect(await identity(s1)).toBe(before);
    expect(await k3sLab.k3s.keys(s1, "newest/")).toEqual(["newest/1"]);
    expect((await leftovers(k3sLab.k3s, s1)).filter((path) => !path.includes("etcd-old-"))).toEqual([]);
    await s1.exec("systemctl restart k3s");
    await k3sLab.k3s.healthy();
    expect(await k3sLab.k3s.keys(s1, "newest/")).toEqual(["newest/1"]);
  };

  test("1: a file that is not whole never reaches the reset, and nothing is touched", async () => {
    await s1.exec(`mkdir -p /root/bad && cd /root/bad && printf 12345678 >short && : >empty
half=$(($(stat -c %s ${snapshot}) / 2)) && head -c $half ${snapshot} >cut
cp ${snapshot} flipped && printf '\\377\\376' | dd of=flipped bs=1 seek=$half conv=notrunc 2>/dev/null`);
    const before = await traces(s1);
    for (const file of ["short", "empty", "cut", "flipped"]) {
      expect([file, await refused(`file://s1/root/bad/${file}`)]).toEqual([
        file,
        expect.objectContaining({ message: expect.stringContaining(file) as string }),
      ]);
    }
    expect(await traces(s1)).toBe(before);
  });

  test.each([
    ["1, 5: a reset that has done all of it, and says so by nothing but exit code 1", "reset-fails", /exit 1/],
    ["5: one that says that K3s is up and running, and exits 0", "reset-exits-early", /did not say that it was done/],
  ])("%s is no success: the data is put back, and no empty cluster starts", async (_, fault, why) => {
    const before = await identity(s1);
    await s1.exec(`mkdir -p ${faults} && echo 'the disk is on fire' >${faults}/${fault}`);
    const error = await refused(`file://s1${snapshot}`);
    await s1.exec(`rm -r ${faults}`);
    expect(error).toMatchObject({ code: "RESTORE_ABANDONED", message: expect.stringMatching(why) as string });
    expect(error.message).toContain("put back as it was");
    await putBack(before);
  });

  test("2: while anything listens on etcd's ports after the stop, the reset does not run", async () => {
    // Somebody starts another one at the very moment when ours stops.
    await s1.exec(`printf '[Socket]\\nListenStream=127.0.0.1:2380\\nFreeBind=yes\\n' >/etc/systemd/system/stray.socket
printf '[Service]\\nExecStart=/bin/sleep 600\\n' >/etc/systemd/system/stray.service
mkdir -p /etc/systemd/system/k3s.service.d
printf '[Service]\\nExecStartPre=/bin/systemctl stop stray.socket\\nExecStopPost=/bin/systemctl start stray.socket\\n' >/etc/systemd/system/k3s.service.d/stray.conf
systemctl daemon-reload`);
    const before = await identity(s1);
    const error = await refused(`file://s1${snapshot}`);
    const [attempt, newest, after] = [
      await lastAttempt(s1),
      await k3sLab.k3s.keys(s1, "newest/"),
      await identity(s1),
    ] as const;
    await s1.exec(
      "rm -r /etc/systemd/system/k3s.service.d /etc/systemd/system/stray.*; systemctl daemon-reload; systemctl restart k3s",
    );
    await k3sLab.k3s.healthy();
    expect(error).toMatchObject({
      code: "RESTORE_ABANDONED",
      message: expect.stringContaining("something still listens on its ports") as string,
    });
    expect(attempt).not.toContain("s1:reset");
    expect([newest, after]).toEqual([["newest/1"], before]);
  });

  test("4, 13: a wrong token is found in the file itself, compressed or not, and refused before anything is touched", async () => {
    await k3sLab.k3s.run(s1, ["etcd-snapshot", "save", "--name=zipped", "--etcd-snapshot-compress", "--etcd-s3=false"]);
    const zip = (await s1.exec(`ls ${server}/db/snapshots/zipped-*.zip`)).trim();
    const before = await traces(s1);
    const plain = await refused(`file://s1${snapshot}`, { token: "wrongtoken" });
    expect(plain).toMatchObject({ code: "TOKEN_MISMATCH" });
    expect(plain.message).toContain("its hash is 544ad39d2d5a, this one's 653f2e12d4b9");
    // What is compressed is unpacked first, while everything runs.
    const zipped = await refused(`file://s1${zip}`, { token: "wrongtoken" });
    expect(zipped.message).toContain("another server token (its hash is 544ad39d2d5a");
    expect(await traces(s1)).toBe(before);
  });

  test("4: a wrong token that no check sees makes the reset panic: who the server was is put back byte for byte", async () => {
    const before = await identity(s1);
    await s1.exec(`mv /usr/bin/grep /usr/bin/grep.real && cat >/usr/bin/grep && chmod 755 /usr/bin/grep`, {
      stdin: `#!/bin/sh\ncase "$*" in *bootstrap*) exit 1 ;; esac\nexec /usr/bin/grep.real "$@"\n`,
    });
    const error = await refused(`file://s1${snapshot}`, { token: "wrongtoken" });
    await s1.exec("mv /usr/bin/grep.real /usr/bin/grep");
    expect(error).toMatchObject({ code: "RESTORE_ABANDONED" });
    expect(error.message).toContain("encrypted with different token");
    expect(error.message).not.toContain("wrongtoken");
    await putBack(before);
  });

  test.each(["TERM", "KILL"])("12: a reset that somebody ends by %s is put back", async (signal) => {
    const before = await identity(s1);
    const ending = refused(`file://s1${snapshot}`);
    await resetBegins();
    await s1.exec(
      `until [ -e ${server}/db/etcd ]; do sleep 0.05; done; systemctl kill -s ${signal} 'etcd-backup-reset-*'`,
    );
    expect(await ending).toMatchObject({ code: "RESTORE_ABANDONED" });
    await putBack(before);
  });

  test("7: S3 in the configuration and a snapshot for here alone: one spelling of each flag", async () => {
    const taken = await takeSnapshot(k3sLab.cluster, { name: "here" }, listeningCall());
    expect(taken.locations).toEqual([`file://s1${server}/db/snapshots/${taken.fileName}`]);
  });

  test("8: a name that the scheduled backups would prune is refused", async () => {
    const named = takeSnapshot(k3sLab.cluster, { name: "etcd-snapshot-pre-upgrade" }, listeningCall());
    await expect(named).rejects.toMatchObject({ code: "INVALID_INPUT" });
  });

  test("1, k3s#2301, k3s#8497: leftovers of earlier resets and removals are in nobody's way, and a failed one is followed by a good one", async () => {
    await s1.exec(`cd ${server}/db && mkdir -p etcd-tmp/member && : >reset-flag && : >etcd/tombstone`);
    const canary = await writeCanary(k3sLab.k3s, "leftovers");
    const path = await saveByItself(k3sLab.k3s, s1, "leftovers");
    await writeAfter(k3sLab.k3s, canary.name);
    await restore(`file://s1${path}`);
    await proveK3sRestored(k3sLab.k3s, canary);
    expect(await s1.exec(`ls ${server}/db`)).not.toContain("reset-flag");
  });
});

describe(`${labelOf("k3s")}: three servers`, () => {
  let s1: Machine, s2: Machine, s3: Machine;

  beforeAll(async () => {
    k3sLab = await startK3sLab();
    [s1, s2, s3] = [k3sLab.lab.machine("s1"), k3sLab.lab.machine("s2"), k3sLab.lab.machine("s3")];
  }, 180_000);
  afterAll(() => k3sLab.lab.down());

  test("3: no peer comes back with the old data, started by hand or by a loss of power", async () => {
    const canary = await writeCanary(k3sLab.k3s, "held");
    const path = await saveByItself(k3sLab.k3s, s1, "held");
    await writeAfter(k3sLab.k3s, canary.name);
    const same = { triggers: ["held"] };
    const done = restore(`file://s1${path}`, same).catch((error: unknown) => error);
    await resetBegins();
    const rebooted = s2.powerLoss().then(() => s2.boot());
    expect(await s3.exec("systemctl start k3s; systemctl is-active k3s || :")).toBe("inactive\n");
    await rebooted;
    const ended = await done;
    if (ended instanceof Error) {
      expect(ended).toMatchObject({ code: "RESTORE_INTERRUPTED" });
      await closeConnections();
      await restore(`file://s1${path}`, same);
    }
    await proveK3sRestored(k3sLab.k3s, canary);
    expect(await s2.exec("journalctl -o cat -u k3s")).not.toContain("cluster ID mismatch");
  });

  test("10, 11, 12: a server that joined another and hangs without a quorum is stopped, whatever it exits with, and restored", async () => {
    const canary = await writeCanary(k3sLab.k3s, "joined");
    const path = await saveByItself(k3sLab.k3s, s1, "joined");
    await writeAfter(k3sLab.k3s, canary.name);
    await s1.exec(`sed -i 's|^cluster-init:.*|server: "https://${s3.address}:6443"|' /etc/rancher/k3s/config.yaml`);
    await s2.exec("systemctl stop k3s");
    await s3.exec("systemctl kill -s KILL k3s; systemctl stop k3s");
    await s1.exec("systemctl stop k3s; systemctl start --no-block k3s; sleep 2");
    expect((await s1.tryExec("systemctl is-active k3s")).stdout).toBe("activating\n");
    const report = await restore(`file://s1${path}`, { safetySnapshot: true });
    expect(report.safetySnapshots).toEqual([]);
    await proveK3sRestored(k3sLab.k3s, canary);
    expect(await s1.exec("journalctl -o cat -u k3s -t systemd | grep -c 'status=2' || :")).not.toBe("0\n");
    // No Node was deleted while its server joined again.
    expect(await k3sLab.k3s.kubectl(s2, ["get", "nodes", "-o", "name"])).toBe("node/s1\nnode/s2\nnode/s3\n");
  });
});
