import type { Input, Output, Unwrap } from "@pulumi/pulumi";
import { type AgentArgs, type BackupConfigArgs, type EtcdArgs, type K3sArgs, k3s } from "../../../provider/index";
import type { Rke2Args, S3Args, SnapshotRestoreArgs } from "../../../provider/index";
import type { BackupConfigInputs } from "../../../provider/lifecycle/backup-config";
import type { SnapshotRestoreInputs } from "../../../provider/lifecycle/snapshot-restore";
import type { Agent, Cluster, S3Settings } from "../../../provider/model";

type Names<Args> = Exclude<keyof Args, symbol>;
type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : never) : never;

// Checked by the compiler: what users can write is what the lifecycles take, name by name.
test("the inputs that users write are those that the lifecycles take", () => {
  const names: readonly true[] = [
    true satisfies Same<Names<BackupConfigArgs>, keyof BackupConfigInputs>,
    true satisfies Same<Names<SnapshotRestoreArgs>, keyof SnapshotRestoreInputs>,
    true satisfies Same<Names<S3Args>, keyof S3Settings>,
    true satisfies Same<Names<AgentArgs>, keyof Agent>,
    true satisfies Same<Names<K3sArgs>, Names<Rke2Args>>,
    true satisfies Same<Names<EtcdArgs> | Names<K3sArgs> | "distribution", keyof Cluster>,
  ];
  expect(names).toHaveLength(6);
});

test("what means nothing for K3s cannot be written", () => {
  // @ts-expect-error -- K3s keeps etcd's certificates itself
  const cluster = k3s({ name: "prod", servers: [], cacert: "/ca.pem" });
  // @ts-expect-error -- an unknown distribution
  const other: BackupConfigArgs = { cluster: { distribution: "rancher", name: "prod", servers: [] } };
  expect([cluster, other]).toHaveLength(2);
});

test("an input may be known now or later", () => {
  const token = (later: Output<string>): Input<string | undefined> =>
    k3s({ name: "p", servers: [], token: later }).token;
  const known = (value: Unwrap<K3sArgs>["token"]): string | undefined => value;
  expect([token, known]).toHaveLength(2);
});
