/** Our units on a server, without `.service` or `.timer`. */
export function unitName(cluster: string): string {
  return `etcd-backup-${cluster}`;
}

/** Our configuration on a server: root's, 0700, because some of it is secret. */
export function configDirectory(cluster: string): string {
  return `/etc/etcd-backup/${cluster}`;
}
