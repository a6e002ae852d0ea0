/** Where everything of ours that is not configuration lies on a server: lock, journal, marker, status, snapshots. Root's, 0700. */
export function serverDirectory(cluster: string): string {
  return `/var/lib/etcd-backup/${cluster}`;
}
