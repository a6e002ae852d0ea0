// Package snapshots saves, lists, prunes and deletes etcd snapshots, on disk and in S3, as the distributions' servers and command lines do.
package snapshots

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"lab/stand-ins/k3s/internal/config"
	"lab/stand-ins/k3s/internal/kube"
	"lab/stand-ins/k3s/internal/log"
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

// Result is what an operation did, with a name for each place.
type Result struct {
	Created []string `json:"created,omitempty"`
	Deleted []string `json:"deleted,omitempty"`
}

// New makes a Manager with the server's own options.
func New(client *clientv3.Client, options *config.Options, node Node) *Manager {
	return &Manager{client: client, options: options, node: node, saving: &sync.Mutex{}}
}

// TokenHash is how snapshots and bootstrap data name the token: 12 hex digits of its password's SHA-256.
func TokenHash(password string) string {
	sum := sha256.Sum256([]byte(password))
	return hex.EncodeToString(sum[:])[:12]
}

// save takes one snapshot. As in K3s, an upload that fails is no error: the result then names one place instead of two.
func (m *Manager) save(ctx context.Context) (*Result, error) {
	if !m.saving.TryLock() {
		return nil, errors.New("snapshot save already in progress")
	}
	defer m.saving.Unlock()
	status, err := m.client.Status(ctx, m.node.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("failed to check etcd status for snapshot: %w", err)
	}
	if status.IsLearner {
		log.Warnf("Unable to take snapshot: not supported for learner")
		return &Result{}, nil
	}
	dir, err := folder(m.options, true)
	if err != nil {
		return nil, err
	}
	metadata := m.extraMetadata(ctx)
	// Rounded, not cut: the name can be half a second ahead of the clock.
	now := time.Now().Round(time.Second)
	if m.node.Personality.Old() {
		now = time.Now().Truncate(time.Second)
	}
	name := fmt.Sprintf("%s-%s-%d", m.options.Snapshots.Name, m.node.Name, now.Unix())
	path := filepath.Join(dir, name)
	log.Infof("Saving etcd snapshot to %s", path)
	if err := m.saveLocal(ctx, path); err != nil {
		log.Errorf("Failed to take etcd snapshot: %v", err)
		m.record(ctx, file{name: name, node: m.node.Name, created: now, metadata: metadata, failure: err.Error()})
		return &Result{}, nil
	}
	if m.options.Snapshots.Compress {
		if path, err = compress(path, now); err != nil {
			return nil, fmt.Errorf("failed to compress snapshot: %w", err)
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("unable to retrieve snapshot information from local snapshot: %w", err)
	}
	if err := saveMetadata(path, metadata); err != nil {
		log.Warnf("Failed to save local snapshot metadata: %v", err)
	}
	result := &Result{Created: []string{info.Name()}}
	m.record(ctx, file{name: info.Name(), location: "file://" + path, node: m.node.Name, created: now, size: info.Size(), metadata: metadata, tokenHash: TokenHash(m.node.TokenPassword)})
	deleted, err := localRetention(m.options.Snapshots.Retention, m.options.Snapshots.Name, dir)
	if err != nil {
		log.Warnf("Failed to apply local snapshot retention policy: %v", err)
	}
	result.Deleted = append(result.Deleted, deleted...)
	if m.options.S3 != nil {
		if err := m.saveToS3(ctx, path, now, metadata, result); err != nil && m.node.Personality.Old() {
			return nil, err
		}
	}
	return result, nil
}

// saveToS3 adds to the result what it did. Its error is that of the upload; only old versions heed it.
func (m *Manager) saveToS3(ctx context.Context, path string, now time.Time, metadata map[string]string, result *Result) error {
	name := filepath.Base(path)
	bucket, err := m.openBucket(ctx)
	if err != nil {
		log.Warnf("Unable to initialize S3 client: %v", err)
		m.record(ctx, file{name: name, node: "s3", created: now, metadata: metadata, s3: m.options.S3, failure: "failed to initialize S3 client: " + err.Error()})
		return nil
	}
	log.Infof("Saving etcd snapshot %s to S3", name)
	saved, uploadError := bucket.upload(ctx, path, now)
	saved.metadata = metadata
	if uploadError != nil {
		log.Errorf("Error received during snapshot upload to S3: %s", uploadError)
		saved.failure = uploadError.Error()
	} else {
		result.Created = append(result.Created, name)
		log.Infof("S3 upload complete for %s", name)
	}
	deleted, err := bucket.retention(ctx, m.options.Snapshots.Name)
	if err != nil {
		log.Warnf("Failed to apply s3 snapshot retention policy: %v", err)
	}
	result.Deleted = append(result.Deleted, deleted...)
	m.record(ctx, saved)
	return uploadError
}

// files lists S3 first, then this node's disk.
func (m *Manager) files(ctx context.Context) ([]file, error) {
	var files []file
	if m.options.S3 != nil {
		bucket, err := m.openBucket(ctx)
		if err != nil {
			return nil, fmt.Errorf("failed to initialize S3 client: %w", err)
		}
		if files, err = bucket.files(ctx); err != nil {
			return nil, err
		}
	}
	local, err := m.localFiles()
	return append(files, local...), err
}

func (m *Manager) prune(ctx context.Context) (*Result, error) {
	dir, err := folder(m.options, false)
	if err != nil {
		return nil, err
	}
	result := &Result{}
	if result.Deleted, err = localRetention(m.options.Snapshots.Retention, m.options.Snapshots.Name, dir); err != nil {
		log.Errorf("Error applying snapshot retention policy: %v", err)
	}
	if m.options.S3 != nil {
		bucket, err := m.openBucket(ctx)
		if err != nil {
			log.Warnf("Unable to initialize S3 client: %v", err)
			return result, nil
		}
		deleted, err := bucket.retention(ctx, m.options.Snapshots.Name)
		if err != nil {
			log.Errorf("Error applying S3 snapshot retention policy: %v", err)
		}
		result.Deleted = append(result.Deleted, deleted...)
	}
	return result, nil
}

func (m *Manager) delete(ctx context.Context, names []string) (*Result, error) {
	dir, err := folder(m.options, false)
	if err != nil {
		return nil, err
	}
	var bucket *bucket
	if m.options.S3 != nil {
		if bucket, err = m.openBucket(ctx); err != nil {
			return nil, fmt.Errorf("failed to initialize S3 client: %w", err)
		}
	}
	result := &Result{}
	for _, name := range names {
		switch err := removeLocal(filepath.Join(dir, name)); {
		case err == nil:
			result.Deleted = append(result.Deleted, name)
			log.Infof("Snapshot %s deleted locally", name)
		case os.IsNotExist(err):
			log.Infof("Snapshot %s not found locally", name)
		default:
			log.Errorf("Failed to delete local snapshot %s: %v", name, err)
		}
		if bucket == nil {
			continue
		}
		switch err := bucket.delete(ctx, name); {
		case err == nil:
			result.Deleted = append(result.Deleted, name)
			log.Infof("Snapshot %s deleted from S3", name)
		case isMissing(err):
			log.Infof("Snapshot %s not found in S3", name)
		default:
			log.Errorf("Failed to delete S3 snapshot %s: %v", name, err)
		}
	}
	return result, nil
}
