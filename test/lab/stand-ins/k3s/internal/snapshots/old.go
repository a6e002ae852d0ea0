package snapshots

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/minio/minio-go/v7"
	clientv3 "go.etcd.io/etcd/client/v3"
	"sigs.k8s.io/yaml"

	"lab/stand-ins/k3s/internal/config"
	"lab/stand-ins/k3s/internal/kube"
	"lab/stand-ins/k3s/internal/log"
	"lab/stand-ins/k3s/internal/personality"
)

// etcdEndpoint is where versions before April 2024 look for etcd themselves.
var etcdEndpoint = "https://127.0.0.1:2379"

// runOld is the command line before it became a client of the server: it does everything itself, with etcd's certificates.
// It says nothing of what it saved, lists either S3 or the disk, and fails when an upload fails.
func runOld(p personality.Personality, subcommand string, options *config.Options, stdout io.Writer) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	m := New(nil, options, Node{Personality: p, Name: options.NodeName, Endpoint: etcdEndpoint})
	if subcommand == "ls" {
		files, err := m.oldFiles(ctx)
		if err != nil {
			return err
		}
		return printOld(files, options, stdout)
	}
	if _, err := os.Stat(filepath.Join(options.DataDir, "server", "db", "etcd", "member", "wal")); subcommand == "save" && err != nil {
		return fmt.Errorf("etcd database not found in %s", filepath.Join(options.DataDir, "server"))
	}
	var err error
	if m.client, err = connectToEtcd(options.DataDir); err != nil {
		return err
	}
	defer m.client.Close()
	m.node.Objects = kube.New(m.client, p)
	switch subcommand {
	case "save":
		m.options.Snapshots.Retention = 0
		if m.options.S3 != nil {
			m.options.S3.Retention = 0
		}
		_, err = m.save(ctx)
	case "prune":
		_, err = m.prune(ctx)
	case "delete":
		err = m.deleteOld(ctx, options.Positional)
	}
	if err != nil {
		return err
	}
	m.reconcileConfigMap(ctx)
	return nil
}

func connectToEtcd(dataDir string) (*clientv3.Client, error) {
	folder := filepath.Join(dataDir, "server", "tls", "etcd")
	ca, err := os.ReadFile(filepath.Join(folder, "server-ca.crt"))
	if err != nil {
		return nil, err
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(folder, "client.crt"), filepath.Join(folder, "client.key"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{etcdEndpoint}, DialTimeout: 5 * time.Second, TLS: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}}})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if _, err := client.Status(ctx, etcdEndpoint); err != nil {
		client.Close()
		return nil, fmt.Errorf("failed to check etcd status for snapshot: %w", err)
	}
	return client, nil
}

// oldFiles are those of S3 when it is enabled, else those on disk; their times are those of the files, not of the names.
func (m *Manager) oldFiles(ctx context.Context) ([]file, error) {
	if m.options.S3 == nil {
		files, err := m.localFiles()
		for i := range files {
			if info, err := os.Stat(files[i].location[len("file://"):]); err == nil {
				files[i].created = info.ModTime()
			}
		}
		return files, err
	}
	bucket, err := m.openBucket(ctx)
	if err != nil {
		return nil, err
	}
	objects, err := bucket.objects(ctx, m.options.S3.Folder)
	var files []file
	for _, object := range objects {
		if object.Size > 0 {
			files = append(files, file{name: filepath.Base(object.Key), node: "s3", created: object.LastModified, size: object.Size, s3: m.options.S3})
		}
	}
	return files, err
}

func printOld(files []file, options *config.Options, stdout io.Writer) error {
	byKey := map[string]oldFile{}
	for _, f := range files {
		byKey[f.key()] = f.old()
	}
	switch options.Output {
	case "json":
		return json.NewEncoder(stdout).Encode(byKey)
	case "yaml":
		content, err := yaml.Marshal(byKey)
		stdout.Write(content)
		return err
	}
	table := tabwriter.NewWriter(stdout, 0, 0, 1, ' ', 0)
	defer table.Flush()
	if options.S3 != nil {
		fmt.Fprint(table, "Name\tSize\tCreated\n")
		for _, f := range byKey {
			fmt.Fprintf(table, "%s\t%d\t%s\n", f.Name, f.Size, f.CreatedAt.Format(time.RFC3339))
		}
		return nil
	}
	fmt.Fprint(table, "Name\tLocation\tSize\tCreated\n")
	for _, f := range byKey {
		fmt.Fprintf(table, "%s\t%s\t%d\t%s\n", f.Name, f.Location, f.Size, f.CreatedAt.Format(time.RFC3339))
	}
	return nil
}

// deleteOld removes from S3 only what is named by its whole key, folder included.
func (m *Manager) deleteOld(ctx context.Context, names []string) error {
	dir, err := folder(m.options, false)
	if err != nil {
		return err
	}
	if m.options.S3 != nil {
		log.Infof("Removing the given etcd snapshot(s) from S3")
		bucket, err := m.openBucket(ctx)
		if err != nil {
			return err
		}
		objects, err := bucket.objects(ctx, "")
		if err != nil {
			return err
		}
		for _, object := range objects {
			if slices.Contains(names, object.Key) {
				if err := bucket.client.RemoveObject(ctx, m.options.S3.Bucket, object.Key, minio.RemoveObjectOptions{}); err != nil {
					log.Errorf("Unable to delete snapshot: %v", err)
				}
			}
		}
	}
	log.Infof("Removing the given locally stored etcd snapshot(s)")
	for _, name := range names {
		err := os.Remove(filepath.Join(dir, name))
		if errors.Is(err, os.ErrNotExist) {
			log.Infof("Snapshot %s, does not exist", name)
		} else if err != nil {
			return err
		}
	}
	return nil
}
