package server

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.uber.org/zap"

	"lab/stand-ins/k3s/internal/fault"
	"lab/stand-ins/k3s/internal/log"
	"lab/stand-ins/k3s/internal/snapshots"
)

// reset makes a cluster of one member, out of this server's data or out of a snapshot. It returns when that is done.
//
// Nothing here looks before it moves: the order of the steps is the original's, and its faults are.
func (s *supervisor) reset(ctx context.Context) error {
	if s.options.RestorePath != "" {
		if err := s.restore(ctx); err != nil {
			return fmt.Errorf("start managed database: %w", err)
		}
	} else if err := s.nameMember(false); err != nil {
		return err
	}
	if err := os.WriteFile(s.dir.resetFlag(), nil, 0o600); err != nil {
		return err
	}
	log.Infof("Starting etcd for new cluster, cluster-reset=true")
	if err := s.startEtcd(etcdOptions{initialCluster: s.member + "=" + s.peerURL(), state: "new", reset: true}); err != nil {
		return fmt.Errorf("start managed database: %w", err)
	}
	if err := s.announce(); err != nil {
		return err
	}
	if message, on := fault.On("reset-fails"); on {
		return errors.New(message)
	}
	if err := s.waitForEtcd(ctx); err != nil {
		return err
	}
	log.Infof("Defragmenting etcd database")
	if _, err := s.client.Defragment(ctx, "https://127.0.0.1:2379"); err != nil {
		return err
	}
	log.Infof("Waiting for API server to become available")
	log.Infof("ETCD server is now running")
	// Not true yet, but the original says so too, in the log and to systemd.
	log.Infof("%s is up and running", s.p.Program)
	notifyReady()
	data, err := s.dir.readBootstrap()
	if err != nil {
		return err
	}
	if err := saveBootstrap(ctx, s.client, s.token, data); err != nil {
		return err
	}
	// Versions that did not refuse a server's URL went on for ever with it.
	if _, on := fault.On("reset-never-ends"); on || s.options.Server != "" {
		<-ctx.Done()
	}
	if _, on := fault.On("reset-exits-early"); on {
		return nil
	}
	time.Sleep(resetPause)
	return s.finishReset(ctx)
}

// resetPause is five seconds in the original, twice.
const resetPause = 700 * time.Millisecond

func (s *supervisor) finishReset(ctx context.Context) error {
	if err := s.resetAddresses(ctx); err != nil {
		return err
	}
	log.Infof("Reconciling bootstrap data between datastore and disk")
	data, err := loadBootstrap(ctx, s.client, s.token)
	if err != nil {
		return err
	}
	aside := fmt.Sprintf("%s-%d", s.dir.tls(), time.Now().Unix())
	log.Infof("Cluster reset: backing up certificates directory to %s", aside)
	if err := copyFolder(s.dir.tls(), aside); err != nil {
		return err
	}
	log.Warnf("Updating bootstrap data on disk from datastore")
	if err := s.dir.writeBootstrap(data); err != nil {
		return err
	}
	if err := s.dir.signLeaves(s.options.NodeName, s.ip, s.options.TLSSan); err != nil {
		return err
	}
	if err := s.announceQuietly(); err != nil {
		return err
	}
	log.Infof("stopping etcd")
	if s.stopEtcd != nil {
		s.stopEtcd()
	}
	time.Sleep(resetPause)
	log.Infof("Managed etcd cluster membership has been reset, restart without --cluster-reset flag now. Backup and delete ${datadir}/server/db on each peer etcd server and rejoin the nodes")
	return nil
}

// announceQuietly writes the token and the kubeconfig again: the CA may be another one now.
func (s *Server) announceQuietly() error {
	if err := s.dir.writeToken(s.token); err != nil {
		return err
	}
	return s.writeKubeconfig()
}

// resetAddresses gives the one member that is left this server's address, and removes the addresses of API servers.
func (s *Server) resetAddresses(ctx context.Context) error {
	if _, err := s.client.Put(ctx, s.p.Program+"/apiaddresses", ""); err != nil {
		return err
	}
	list, err := s.client.MemberList(ctx)
	if err != nil {
		return err
	}
	if len(list.Members) != 1 {
		return fmt.Errorf("%d members after the reset", len(list.Members))
	}
	if only := list.Members[0]; len(only.PeerURLs) != 1 || only.PeerURLs[0] != s.peerURL() {
		_, err = s.client.MemberUpdate(ctx, only.ID, []string{s.peerURL()})
	}
	return err
}

func (s *Server) restore(ctx context.Context) error {
	path := s.options.RestorePath
	if s.options.S3 != nil {
		var err error
		if path, err = snapshots.Download(ctx, s.options, path); err != nil {
			return err
		}
	}
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("etcd: snapshot path does not exist: %s", path)
	} else if err != nil {
		return err
	}
	if info.IsDir() {
		return fmt.Errorf("etcd: snapshot path must be a file, not a directory: %s", path)
	}
	if exists(s.dir.etcd()) {
		aside := fmt.Sprintf("%s-old-%d", s.dir.etcd(), time.Now().Unix())
		if err := os.Rename(s.dir.etcd(), aside); err != nil {
			return err
		}
		log.Infof("Pre-restore etcd database moved to %s", aside)
	}
	if strings.HasSuffix(path, ".zip") {
		if path, err = s.unzip(path); err != nil {
			return err
		}
	}
	s.member = s.options.NodeName + "-" + randomHex(4)
	err = snapshot.NewV3(zap.NewNop()).Restore(snapshot.RestoreConfig{
		SnapshotPath: path, Name: s.member, OutputDataDir: s.dir.etcd(), OutputWALDir: s.dir.etcd("member", "wal"),
		PeerURLs: []string{s.peerURL()}, InitialCluster: s.member + "=" + s.peerURL(),
	})
	if err != nil {
		return err
	}
	return os.WriteFile(s.dir.etcd("name"), []byte(s.member), 0o600)
}

// unzip puts the snapshot into server/, where it stays.
func (s *Server) unzip(path string) (string, error) {
	archive, err := zip.OpenReader(path)
	if err != nil {
		return "", err
	}
	defer archive.Close()
	target := ""
	for _, entry := range archive.File {
		target = s.dir.server(filepath.Base(entry.Name))
		from, err := entry.Open()
		if err != nil {
			return "", err
		}
		to, err := os.OpenFile(target, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
		if err != nil {
			return "", err
		}
		if _, err := io.Copy(to, from); err != nil {
			return "", err
		}
		if err := errors.Join(from.Close(), to.Close()); err != nil {
			return "", err
		}
	}
	return target, nil
}

// readOwnBootstrap starts a copy of this server's etcd for a moment, apart from the cluster, and reads the data from it.
func (s *Server) readOwnBootstrap(ctx context.Context) (bootstrap, error) {
	copied := s.dir.server("db", "etcd-tmp")
	defer os.RemoveAll(copied)
	if err := copyFolder(s.dir.etcd(), copied); err != nil {
		return nil, err
	}
	config := fmt.Sprintf(`name: %s
data-dir: %s
force-new-cluster: true
listen-client-urls: http://127.0.0.1:2399
advertise-client-urls: http://127.0.0.1:2399
listen-peer-urls: http://127.0.0.1:2400
log-level: error
`, s.options.NodeName, copied)
	path := s.dir.server("db", "etcd-tmp", "config")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		return nil, err
	}
	stop, err := runEtcd(path)
	if err != nil {
		return nil, err
	}
	defer stop()
	client, err := clientv3.New(clientv3.Config{Context: ctx, Endpoints: []string{"http://127.0.0.1:2399"}, Logger: zap.NewNop()})
	if err != nil {
		return nil, err
	}
	defer client.Close()
	short, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return loadBootstrap(short, client, s.token)
}
