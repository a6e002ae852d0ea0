// Package snapshots saves, lists, prunes and deletes etcd snapshots, on disk and in S3, as the distributions' servers and command lines do.
package snapshots

import (
	"context"
	"net/http"
	"sync"

	clientv3 "go.etcd.io/etcd/client/v3"

	"lab/stand-ins/k3s/internal/config"
	"lab/stand-ins/k3s/internal/kube"
	"lab/stand-ins/k3s/internal/personality"
)

// Node is the server for which a Manager works.
type Node struct {
	Personality   personality.Personality
	Name          string
	Endpoint      string // of its own etcd member: https://127.0.0.1:2379
	TokenPassword string // the part of the token after "server:"
	Objects       *kube.Store
}

// Manager does what the server does with snapshots.
type Manager struct {
	client  *clientv3.Client
	options *config.Options
	node    Node
	saving  *sync.Mutex
}

// New makes a Manager with the server's own options.
func New(client *clientv3.Client, options *config.Options, node Node) *Manager {
	return &Manager{client: client, options: options, node: node, saving: &sync.Mutex{}}
}

// StartSchedule takes snapshots as etcd-snapshot-schedule-cron says, and at every SIGUSR1, until ctx ends.
func (m *Manager) StartSchedule(ctx context.Context) error { return nil }

// Reconcile makes the ETCDSnapshotFile objects agree with the files on disk and in S3; the server calls it once when it is up.
func (m *Manager) Reconcile(ctx context.Context) {}

// Handler answers /db/snapshot.
func (m *Manager) Handler() http.Handler { return nil }

// Download fetches a snapshot from S3 into the snapshot folder for a restore and returns its path.
// Its messages are those of the restore: "cannot use S3 config secret when restoring snapshot; …", "failed to download snapshot from S3: …".
func Download(ctx context.Context, options *config.Options, name string) (string, error) {
	return "", nil
}

// CLI runs `etcd-snapshot <subcommand> …` with all arguments after `etcd-snapshot` and returns the exit code.
func CLI(p personality.Personality, args []string, env map[string]string) int { return 0 }
