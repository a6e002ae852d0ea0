/** Where everything of ours that is not configuration lies on a server: lock, journal, marker, status, snapshots. Root's, 0700. */
export function serverDirectory(cluster: string): string {
  return `/var/lib/etcd-backup/${cluster}`;
}

/** What one attempt remembers on a machine, and leaves behind only when it is cut off. */
export function attemptDirectory(cluster: string, attempt: string): string {
  return `${serverDirectory(cluster)}/restore-${attempt}`;
}
