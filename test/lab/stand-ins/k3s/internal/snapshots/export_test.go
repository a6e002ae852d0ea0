package snapshots

// SetEtcdEndpoint points the old command line at a test's etcd.
func SetEtcdEndpoint(endpoint string) { etcdEndpoint = endpoint }
