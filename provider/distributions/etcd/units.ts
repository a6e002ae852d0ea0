import { parseDuration } from "../../duration";
import type { S3Settings } from "../../model";
import { serverDirectory } from "../../plan/server-directory";
import { s3Retention } from "../s3-retention";
import { backupScript } from "./backup-script";
import { toOnCalendar } from "./cron";
import { declaredCommand } from "./last-word";
import { configDirectory, unitName } from "./places";

/** A file of ours on a server. Its content may be shown, in a diff for one, unless it is secret. */
export interface BackupFile {
  readonly path: string;
  readonly content: string;
  readonly mode: number;
  readonly secret: boolean;
}

/** What one server has to know to take backups. Names are `[A-Za-z0-9._-]`, the schedule has been checked. */
export interface BackupUnitInput {
  readonly cluster: string;
  readonly server: string;
  /** How many servers the cluster has: S3's retention counts all servers' files. */
  readonly serverCount: number;
  readonly settings: {
    readonly schedule: string;
    readonly retention: number;
    readonly snapshotName: string;
    readonly s3?: S3Settings | undefined;
  };
  /** Where the server keeps its snapshots. */
  readonly directory: string;
  readonly etcd: EtcdAccess;
}

/** How etcdctl on the server reaches the server's own member. */
export interface EtcdAccess {
  readonly etcdctl: string;
  readonly endpoint: string;
  readonly cacert?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  /** etcd's own unit, which a run after a boot waits for. */
  readonly unit?: string | undefined;
}

/** The files that make a server take backups. The same input gives the same bytes. */
export function backupFiles(input: BackupUnitInput): readonly BackupFile[] {
  const { cluster, etcd } = input;
  const { s3 } = input.settings;
  const folder = configDirectory(cluster);
  const files: BackupFile[] = [
    { path: `${folder}/save.sh`, content: backupScript, mode: 0o700, secret: false },
    {
      path: `${folder}/settings`,
      content: assignments(scriptSettings(input)),
      mode: 0o600,
      // A proxy's URL may hold a password.
      secret: s3?.proxy?.includes("@") ?? false,
    },
  ];
  if (s3 !== undefined && hasKeys(s3)) {
    const keys = {
      access_key_id: s3.accessKeyId,
      secret_access_key: s3.secretAccessKey,
      session_token: s3.sessionToken,
    };
    files.push({ path: `${folder}/s3-keys`, content: assignments(keys), mode: 0o600, secret: true });
  }
  if (s3?.endpointCa !== undefined) {
    files.push({ path: `${folder}/endpoint-ca.pem`, content: s3.endpointCa, mode: 0o644, secret: false });
  }
  if (etcd.username !== undefined && etcd.password !== undefined) {
    files.push({ path: `${folder}/etcd-password`, content: `${etcd.password}\n`, mode: 0o600, secret: true });
  }
  const unit = `/etc/systemd/system/${unitName(cluster)}`;
  return [
    ...files,
    { path: `${unit}.service`, content: service(input), mode: 0o644, secret: false },
    { path: `${unit}.timer`, content: timer(input), mode: 0o644, secret: false },
  ];
}

const SAVE_SECONDS = 900;
const DEFAULT_TRANSFER_SECONDS = 300;

function scriptSettings(input: BackupUnitInput): Readonly<Record<string, string | number | undefined>> {
  const { cluster, server, directory, etcd, settings } = input;
  const { s3 } = settings;
  const folder = configDirectory(cluster);
  const withPassword = etcd.username !== undefined && etcd.password !== undefined;
  return {
    cluster,
    server,
    state: serverDirectory(cluster),
    directory,
    snapshot_name: settings.snapshotName,
    retention: settings.retention,
    save_timeout: SAVE_SECONDS,
    etcdctl: etcd.etcdctl,
    endpoint: etcd.endpoint,
    cacert: etcd.cacert,
    cert: etcd.cert,
    key: etcd.key,
    username: withPassword ? etcd.username : undefined,
    password_file: withPassword ? `${folder}/etcd-password` : undefined,
    ...(s3 === undefined
      ? {}
      : {
          s3_bucket: s3.bucket,
          s3_folder: s3.folder ?? cluster,
          s3_region: s3.region ?? "us-east-1",
          s3_host: s3.endpoint ?? `s3.${s3.region ?? "us-east-1"}.amazonaws.com`,
          s3_scheme: s3.insecure === true ? "http" : "https",
          s3_style: bucketStyle(s3),
          s3_ca_file: s3.endpointCa === undefined ? undefined : `${folder}/endpoint-ca.pem`,
          s3_skip_tls_verify: s3.skipTlsVerify === true ? 1 : undefined,
          s3_timeout: transferSeconds(s3),
          s3_proxy: s3.proxy,
          s3_retention: s3Retention(settings, input.serverCount),
          s3_keys: hasKeys(s3) ? `${folder}/s3-keys` : undefined,
        }),
  };
}

function hasKeys(s3: S3Settings): boolean {
  return s3.accessKeyId !== undefined && s3.secretAccessKey !== undefined;
}

function bucketStyle({ bucketLookup = "auto", endpoint, bucket }: S3Settings): "dns" | "path" {
  if (bucketLookup !== "auto") return bucketLookup;
  const ofAws = endpoint === undefined || /\.amazonaws\.com(\.cn)?(:\d+)?$/.test(endpoint);
  // No certificate of AWS fits a bucket's name with dots before the host's.
  return ofAws && !bucket.includes(".") ? "dns" : "path";
}

function transferSeconds({ timeout }: S3Settings): number {
  const milliseconds = timeout === undefined ? undefined : parseDuration(timeout);
  return milliseconds === undefined ? DEFAULT_TRANSFER_SECONDS : Math.ceil(milliseconds / 1000);
}

/** Lines for `sh`, each value a single-quoted word. */
function assignments(values: Readonly<Record<string, string | number | undefined>>): string {
  const lines = Object.entries(values).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}='${String(value).replaceAll("'", `'\\''`)}'`],
  );
  return `${lines.join("\n")}\n`;
}

function service(input: BackupUnitInput): string {
  const { cluster, directory, etcd, settings } = input;
  // Three tries of the upload, and what comes before and after it.
  const seconds = 2 * SAVE_SECONDS + (settings.s3 === undefined ? 0 : 3 * transferSeconds(settings.s3)) + 900;
  const paths = [directory, etcd.etcdctl, etcd.cacert, etcd.cert, etcd.key].filter((path) => path !== undefined);
  const inside = (...roots: readonly string[]): boolean =>
    paths.some((path) => roots.some((root) => path.startsWith(`${root}/`)));
  return `[Unit]
Description=Snapshot of etcd cluster ${cluster}
After=network-online.target${etcd.unit === undefined ? "" : ` ${etcd.unit}`}
Wants=network-online.target
RequiresMountsFor=${word(directory)}

[Service]
Type=oneshot
ExecStart=${declaredCommand(cluster)}
# 75: another run is in progress
SuccessExitStatus=75
TimeoutStartSec=${seconds}
KillMode=control-group
UMask=0077
Nice=10
IOSchedulingClass=idle
LimitCORE=0
StateDirectory=etcd-backup/${cluster}
StateDirectoryMode=0700
ReadWritePaths=-${word(directory)}
ProtectSystem=strict
ProtectHome=${inside("/root", "/home", "/run/user") ? "no" : "yes"}
PrivateTmp=${inside("/tmp", "/var/tmp") ? "no" : "yes"}
PrivateDevices=yes
NoNewPrivileges=yes
# etcd's certificates are 0600 and another user's
CapabilityBoundingSet=CAP_DAC_READ_SEARCH
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
`;
}

function timer(input: BackupUnitInput): string {
  const lines = toOnCalendar(input.settings.schedule).map((line) => `OnCalendar=${line}\n`);
  return `[Unit]
Description=Snapshots of etcd cluster ${input.cluster}: ${input.settings.schedule.trim().replaceAll("%", "%%")}

[Timer]
${lines.join("")}# A run that was due while the server was off is made up for.
Persistent=true
# The members of a cluster do not all save in the same second.
RandomizedDelaySec=20
AccuracySec=1

[Install]
WantedBy=timers.target
`;
}

/** A path as a word of a unit file. */
function word(path: string): string {
  return `"${path.replaceAll("%", "%%").replaceAll(/["\\]/g, "\\$&")}"`;
}
