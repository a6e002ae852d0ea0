// The lab: machines with their own systemd and sshd, real etcd, a real S3, Pulumi's real engine, all on this machine.
//
// What a power loss here shows: everything that runs on the machine is gone at once, without a signal to any of it, and what lay
// in memory file systems (/run, /tmp) with it. What it does not show: the loss of what was written and not yet synced. The
// kernel is this machine's, goes on living, and keeps it. Nothing here proves that something syncs when it must.
import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type CertificateAuthority, createAuthority, openAuthority } from "./certificates";
import { type ControlGroup, openControlGroup } from "./control-group";
import { type Equipment, readEquipment } from "./equipment";
import { type EtcdCluster, type EtcdOptions, startEtcd } from "./etcd";
import { type K3sCluster, type K3sOptions, startK3s } from "./k3s";
import { createDisk } from "./machine-disk";
import { type Machine, openMachine } from "./machine";
import { createNetwork, type Network } from "./network";
import { type PulumiOptions, type PulumiProject, createPulumiProject } from "./pulumi";
import { removeLab, removeDeadLabs } from "./remove-lab";
import { type S3, type S3Options, startS3 } from "./s3";
import { createSshKey, readSshKey, type SshKey } from "./ssh-keys";
import { markAsStaying, readRecord, watchOver, writeRecord } from "./lab-record";

export interface LabOptions {
  /** Names of up to 100 machines. @default ["s1", "s2", "s3"] */
  readonly machines?: readonly string[];
}

export interface Lab {
  readonly id: string;
  /** Everything of this lab. Gone after `down`. */
  readonly directory: string;
  readonly network: Network;
  readonly machines: readonly Machine[];
  machine(name: string): Machine;
  /** Root's key on all machines, and the operator's. */
  readonly sshKey: SshKey;
  /** The right host keys of all machines, as `known_hosts` has them. */
  readonly knownHosts: string;
  readonly knownHostsPath: string;
  readonly authority: CertificateAuthority;
  startEtcd(options?: EtcdOptions): Promise<EtcdCluster>;
  startK3s(options?: K3sOptions): Promise<K3sCluster>;
  startS3(options?: S3Options): Promise<S3>;
  /** A project and an empty stack for the real engine, with a backend of its own. */
  pulumi(options: PulumiOptions): Promise<PulumiProject>;
  /** From now on it outlives this process, until someone takes it down. */
  stay(): void;
  /** Ends and removes everything. Repeating it is success. */
  down(): Promise<void>;
}

/** Boots a lab of its own. When this process ends in whatever way, the lab goes too. */
export async function startLab({ machines = ["s1", "s2", "s3"] }: LabOptions = {}): Promise<Lab> {
  const equipment = readEquipment();
  await removeDeadLabs(equipment.cache);
  const id = randomBytes(3).toString("hex");
  const directory = join(equipment.cache, "labs", id);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const stopWatching = watchOver(directory);
  try {
    const network = await createNetwork(id, directory);
    const { publicKey } = await createSshKey(join(directory, "ssh-key"), "ed25519", "lab");
    await createAuthority(join(directory, "authority"), `lab ${id}`);
    const addresses = Object.fromEntries(machines.map((name, index) => [name, `${network.prefix}.${11 + index}`]));
    writeRecord(directory, { network, addresses });
    const hostKeys = await Promise.all(
      machines.map((name) =>
        createDisk({
          image: equipment.image,
          directory: join(directory, "machines", name),
          name,
          addresses,
          publicKey,
        }),
      ),
    );
    writeFileSync(join(directory, "known_hosts"), hostKeys.join(""));
    const lab = openLab(equipment, id, stopWatching);
    await Promise.all(lab.machines.map((machine) => machine.boot()));
    return lab;
  } catch (error) {
    await removeLab(directory);
    stopWatching();
    throw error;
  }
}

/** A lab that another process started and that stays. */
export function openLab(equipment: Equipment, id: string, stopWatching: () => void = () => undefined): Lab {
  const directory = join(equipment.cache, "labs", id);
  const { network, addresses } = readRecord(directory);
  const group = openControlGroup(id);
  const sshKey = readSshKey(join(directory, "ssh-key"));
  const machines = Object.entries(addresses).map(([name, address]) =>
    openMachine({
      ...{ labId: id, name, address, group, bridge: network.bridge, publicKey: sshKey.publicKey },
      directory: join(directory, "machines", name),
    }),
  );
  const knownHostsPath = join(directory, "known_hosts");
  const parts = {
    equipment,
    directory,
    network,
    machines,
    group,
    authority: openAuthority(join(directory, "authority")),
  };
  return {
    ...{ id, directory, network, machines, sshKey, knownHostsPath, authority: parts.authority },
    knownHosts: readFileSync(knownHostsPath, "utf8"),
    machine: (name) => {
      const found = machines.find((machine) => machine.name === name);
      if (found === undefined) throw new Error(`the lab has no machine ${name}`);
      return found;
    },
    startEtcd: (options) => startEtcd(parts, options),
    startK3s: (options) => startK3s(parts, options),
    startS3: (options) => startS3(parts, options),
    pulumi: (options) => createPulumiProject(parts, options),
    stay: () => {
      markAsStaying(directory);
      stopWatching();
    },
    down: async () => {
      await removeLab(directory);
      stopWatching();
    },
  };
}

/** What the parts of a lab need of it. */
export interface LabParts {
  readonly equipment: Equipment;
  readonly directory: string;
  readonly network: Network;
  readonly machines: readonly Machine[];
  readonly group: ControlGroup;
  readonly authority: CertificateAuthority;
}
