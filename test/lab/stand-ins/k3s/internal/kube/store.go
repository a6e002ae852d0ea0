// Package kube keeps the few Kubernetes objects that snapshots and restores touch as keys in etcd, and answers for them as an API server does.
package kube

import (
	"context"
	"net/http"

	clientv3 "go.etcd.io/etcd/client/v3"

	"lab/stand-ins/k3s/internal/personality"
)

// Store holds the objects of one cluster.
type Store struct {
	client *clientv3.Client
	p      personality.Personality
}

// Node is what a server says of itself.
type Node struct {
	Name       string
	Address    string
	MemberName string // of its etcd member: s1-49aba739
	// Voter is false while the member is a learner.
	Voter bool
	Ready bool
	// Args and Env fill the annotations <prog>.io/node-args and node-env.
	Args []string
	Env  map[string]string
}

// New makes a Store on a client that is authenticated already.
func New(client *clientv3.Client, p personality.Personality) *Store {
	return &Store{client: client, p: p}
}

// EnsureCluster writes the namespaces and what else a new cluster holds; it leaves alone what is there.
func (s *Store) EnsureCluster(ctx context.Context) error { return nil }

// ClusterID is the UID of the namespace kube-system.
func (s *Store) ClusterID(ctx context.Context) (string, error) { return "", nil }

// UpsertNode creates or updates a Node with its etcd annotations and its condition EtcdIsVoter.
func (s *Store) UpsertNode(ctx context.Context, node Node) error { return nil }

// EnsureNodePassword refuses a node whose password differs from the one in the Secret <node>.node-password.<prog>, and writes the Secret when it is missing.
func (s *Store) EnsureNodePassword(ctx context.Context, node, password string) error { return nil }

// DeleteNodePassword removes that Secret, as the first start after a restore does.
func (s *Store) DeleteNodePassword(ctx context.Context, node string) error { return nil }

// Handler answers /readyz, /livez, /healthz, /version, /api and /apis. The caller has authenticated the client by its certificate.
// Deleting a Node removes the etcd member that its annotation node-name names.
func (s *Store) Handler() http.Handler { return nil }

// CLI runs `kubectl …` and returns the exit code.
func CLI(p personality.Personality, args []string, env map[string]string) int { return 0 }
