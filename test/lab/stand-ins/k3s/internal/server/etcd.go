package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"sigs.k8s.io/yaml"

	"lab/stand-ins/k3s/internal/log"
)

// etcdOptions is what differs from one start of etcd to the next.
type etcdOptions struct {
	initialCluster string
	state          string // new or existing
	reset          bool
}

// writeEtcdConfig writes server/db/etcd/config, as the distributions do, and returns its path.
func (s *Server) writeEtcdConfig(options etcdOptions) (string, error) {
	advertised, clients, peers := s.clientURL(), "https://127.0.0.1:2379,"+s.clientURL(), "https://127.0.0.1:2380,"+s.peerURL()
	if options.reset {
		advertised, clients, peers = "https://127.0.0.1:2379", "https://127.0.0.1:2379", "https://127.0.0.1:2380"
	}
	metrics := "http://127.0.0.1:2381"
	if s.options.EtcdExposeMetrics {
		metrics += ",http://" + s.ip + ":2381"
	}
	security := func(name, authority string) map[string]any {
		return map[string]any{
			"cert-file": s.dir.tls("etcd", name+".crt"), "key-file": s.dir.tls("etcd", name+".key"),
			"client-cert-auth": true, "trusted-ca-file": s.dir.tls("etcd", authority+".crt"),
		}
	}
	config := map[string]any{
		"name":                           s.member,
		"data-dir":                       s.dir.etcd(),
		"advertise-client-urls":          advertised,
		"listen-client-urls":             clients,
		"listen-client-http-urls":        "https://127.0.0.1:2382",
		"listen-metrics-urls":            metrics,
		"listen-peer-urls":               peers,
		"initial-advertise-peer-urls":    s.peerURL(),
		"initial-cluster":                options.initialCluster,
		"initial-cluster-state":          options.state,
		"client-transport-security":      security("server-client", "server-ca"),
		"peer-transport-security":        security("peer-server-client", "peer-ca"),
		"heartbeat-interval":             100,
		"election-timeout":               1000,
		"snapshot-count":                 10000,
		"warning-unary-request-duration": 300 * time.Millisecond,
		"logger":                         "zap",
		"log-outputs":                    []string{"stderr"},
	}
	if options.reset {
		config["force-new-cluster"] = true
	}
	for _, arg := range s.options.EtcdArgs {
		name, value, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		config[name] = value
		if number, err := strconv.Atoi(value); err == nil {
			config[name] = number
		} else if value == "true" || value == "false" {
			config[name] = value == "true"
		}
	}
	content, err := yaml.Marshal(config)
	if err != nil {
		return "", err
	}
	path := s.dir.etcd("config")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	return path, os.WriteFile(path, content, 0o600)
}

func (s *Server) clientURL() string { return "https://" + s.ip + ":2379" }
func (s *Server) peerURL() string   { return "https://" + s.ip + ":2380" }

// startEtcd starts it inside this process (K3s), or as a process of its own (RKE2).
func (s *Server) startEtcd(options etcdOptions) error {
	path, err := s.writeEtcdConfig(options)
	if err != nil {
		return err
	}
	if s.p.StaticPods {
		if s.besideServer {
			return errors.New("listen tcp 127.0.0.1:2380: bind: address already in use")
		}
		return s.pods.startEtcd(path)
	}
	stop, err := runEtcd(path)
	s.stopEtcd = stop
	return err
}

// runEtcd starts etcd from its configuration file. It returns before etcd is ready.
func runEtcd(path string) (stop func(), err error) {
	config, err := embed.ConfigFromFile(path)
	if err != nil {
		return nil, err
	}
	running, err := embed.StartEtcd(config)
	if err != nil {
		return nil, err
	}
	asked := make(chan struct{})
	go func() {
		select {
		case <-asked:
		case err := <-running.Err():
			log.Errorf("etcd error: %v", err)
		case <-running.Server.StopNotify():
			// Nobody asked it to stop: its cluster has removed it.
			log.Infof("this node has been removed from the cluster please restart the server to rejoin the cluster")
			_ = os.WriteFile(filepath.Join(config.Dir, "tombstone"), nil, 0o600)
			running.Close() // What is asked of it now would be a panic.
		}
	}()
	return func() {
		close(asked)
		running.Server.HardStop()
		running.Close()
	}, nil
}

// connect makes a client of this server's own etcd, or of other members.
func (d paths) connect(ctx context.Context, endpoints ...string) (*clientv3.Client, error) {
	pair, err := tls.LoadX509KeyPair(d.tls("etcd", "client.crt"), d.tls("etcd", "client.key"))
	if err != nil {
		return nil, err
	}
	authority, err := os.ReadFile(d.tls("etcd", "server-ca.crt"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority)
	return clientv3.New(clientv3.Config{
		Context: ctx, Endpoints: endpoints, Logger: zap.NewNop(), DialTimeout: 5 * time.Second,
		TLS: &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: pool, MinVersion: tls.VersionTLS12},
	})
}

// waitForEtcd waits until this server's member is a voter of a cluster with a leader. It has no end of its own, like the original's.
func (s *Server) waitForEtcd(ctx context.Context) error {
	for last := time.Now(); ; {
		err := s.testEtcd(ctx)
		if err == nil {
			log.Infof("etcd data store connection OK")
			return nil
		}
		if time.Since(last) > 5*time.Second {
			last = time.Now()
			log.Infof("Failed to test data store connection: %s", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (s *Server) testEtcd(ctx context.Context) error {
	short, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	status, err := s.client.Status(short, "https://127.0.0.1:2379")
	if err != nil {
		return fmt.Errorf("failed to get etcd status: %w", err)
	}
	if status.IsLearner {
		return fmt.Errorf("this server has not yet been promoted from learner to voting member")
	}
	// A read that needs a quorum.
	if _, err := s.client.Get(short, "/bootstrap", clientv3.WithKeysOnly()); err != nil {
		return err
	}
	if err := s.checkMembership(short); err != nil {
		return err
	}
	log.Infof("Connected to etcd v%s - datastore using %d of %d bytes", status.Version, status.DbSizeInUse, status.DbSize)
	return nil
}

// checkMembership fails on a server whose address is not the one that its member has. A reset corrects that.
func (s *Server) checkMembership(ctx context.Context) error {
	list, err := s.client.MemberList(ctx)
	if err != nil || s.options.ClusterReset {
		return err
	}
	own, found := s.member+"="+s.peerURL(), []string{}
	for _, one := range list.Members {
		for _, peer := range one.PeerURLs {
			found = append(found, one.Name+"="+peer)
		}
	}
	if !slices.Contains(found, own) {
		return fmt.Errorf("this server is a not a member of the etcd cluster. Found %v, expect: %s", found, own)
	}
	return nil
}
