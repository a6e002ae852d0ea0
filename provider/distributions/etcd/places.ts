/** Our units on a server, without `.service` or `.timer`. */
export function unitName(cluster: string): string {
  return `etcd-backup-${cluster}`;
}

/** A drop-in of ours that systemd reads last: a tilde comes after every letter. */
export function lastWordPath(cluster: string, kind: "timer" | "service"): string {
  return `/etc/systemd/system/${unitName(cluster)}.${kind}.d/~~etcd-backup.conf`;
}

/** Our configuration on a server: root's, 0700, because some of it is secret. */
export function configDirectory(cluster: string): string {
  return `/etc/etcd-backup/${cluster}`;
}
