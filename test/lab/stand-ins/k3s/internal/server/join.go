package server

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"lab/stand-ins/k3s/internal/log"
)

func base64Of(content []byte) string { return base64.StdEncoding.EncodeToString(content) }

// bootstrap brings what all servers share onto the disk: from the server to join, or from this server's own etcd.
func (s *Server) bootstrap(ctx context.Context) (other *remote, err error) {
	switch {
	case s.dir.initialized():
		log.Infof("Managed etcd cluster bootstrap already complete and initialized")
		if s.options.ClusterReset {
			return nil, nil
		}
		return s.reconcile(ctx)
	case s.options.Server == "" || s.options.ClusterReset:
		log.Infof("Managed etcd cluster initializing")
		return nil, nil
	}
	log.Infof("Managed etcd cluster not yet initialized")
	if other, err = dialRemote(s.options.Server, s.given); err != nil {
		return nil, err
	}
	patient, cancel := context.WithTimeout(ctx, 90*time.Second)
	defer cancel()
	log.Infof("Reconciling bootstrap data between datastore and disk")
	data := bootstrap{}
	if err := other.get(patient, "/v1-"+s.p.Program+"/server-bootstrap", &data); err != nil {
		return nil, fmt.Errorf("failed to validate token: %w", err)
	}
	return other, s.dir.writeBootstrap(data)
}

// reconcile asks the server that this one once joined, or, when that is away, this server's own data.
func (s *Server) reconcile(ctx context.Context) (*remote, error) {
	if s.options.Server != "" {
		short, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		data := bootstrap{}
		other, err := dialRemote(s.options.Server, s.given)
		if err == nil {
			err = other.get(short, "/v1-"+s.p.Program+"/server-bootstrap", &data)
		}
		if err == nil {
			log.Infof("Reconciling bootstrap data between datastore and disk")
			log.Infof("Successfully reconciled with datastore")
			return other, s.dir.writeBootstrap(data)
		}
	}
	log.Infof("Starting temporary etcd to reconcile with datastore")
	if exists(s.dir.tls("etcd", "server-ca.crt")) {
		return nil, nil // The stand-in saves the second that this takes when it would change nothing.
	}
	data, err := s.readOwnBootstrap(ctx)
	if err != nil {
		return nil, err
	}
	log.Infof("Reconciling bootstrap data between datastore and disk")
	log.Warnf("Updating bootstrap data on disk from datastore")
	return nil, s.dir.writeBootstrap(data)
}

// startMember starts etcd as what this server is: a member, the first of a new cluster, or one that joins.
func (s *Server) startMember(ctx context.Context, other *remote) error {
	if exists(s.dir.etcd("tombstone")) {
		log.Infof("tombstone file has been detected, removing data dir to rejoin the cluster")
		if err := setAside(s.dir.etcd()); err != nil {
			return err
		}
	}
	isMember := s.dir.initialized()
	if err := s.nameMember(false); err != nil {
		return err
	}
	own := s.member + "=" + s.peerURL()
	switch {
	case isMember:
		log.Infof("Starting etcd for existing cluster member")
		return s.startEtcd(etcdOptions{initialCluster: own, state: "existing"})
	case other == nil:
		log.Infof("Starting etcd for new cluster, cluster-reset=false")
		return s.startEtcd(etcdOptions{initialCluster: own, state: "new"})
	}
	s.rejoined = time.Now()
	members, err := s.addMember(ctx, other)
	if err != nil {
		return err
	}
	log.Infof("Starting etcd to join cluster with members %v", members)
	return s.startEtcd(etcdOptions{initialCluster: strings.Join(members, ","), state: "existing"})
}

// nameMember reads or makes the name of this server's member.
func (s *Server) nameMember(fresh bool) error {
	path := s.dir.etcd("name")
	if content, err := os.ReadFile(path); err == nil && !fresh {
		s.member = string(content)
		return nil
	}
	s.member = s.options.NodeName + "-" + randomHex(4)
	if err := os.MkdirAll(s.dir.etcd(), 0o700); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(s.member), 0o600)
}

// addMember adds this server as a learner and returns the members, each name=URL.
func (s *Server) addMember(ctx context.Context, other *remote) ([]string, error) {
	info := struct{ Members []member }{}
	if err := other.get(ctx, "/db/info", &info); err != nil {
		return nil, err
	}
	endpoints := []string{}
	for _, one := range info.Members {
		endpoints = append(endpoints, one.ClientURLs...)
	}
	client, err := s.dir.connect(ctx, endpoints...)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	list, err := client.MemberList(ctx)
	if err != nil {
		return nil, err
	}
	cluster, known := []string{}, false
	for _, one := range list.Members {
		for _, peer := range one.PeerURLs {
			address, err := url.Parse(peer)
			if err != nil {
				return nil, err
			}
			here := address.Hostname() == s.ip
			if one.Name == "" && here {
				one.Name = s.member
			}
			known = known || here && one.Name == s.member
		}
		if nodeOf(one.Name) == s.options.NodeName && one.Name != s.member {
			_ = os.Remove(s.dir.etcd("name"))
			return nil, errors.New("duplicate node name found, please use a unique name for this node")
		}
		cluster = append(cluster, one.Name+"="+one.PeerURLs[0])
	}
	if known {
		return cluster, nil
	}
	own := s.member + "=" + s.peerURL()
	log.Infof("Adding member %s to etcd cluster %v", own, cluster)
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(300 * time.Millisecond) {
		_, err := client.MemberAddAsLearner(ctx, []string{s.peerURL()})
		if err == nil {
			return append(cluster, own), nil
		}
		// Members that joined a moment ago: the original's pauses are longer.
		if !errors.Is(err, rpctypes.ErrUnhealthy) && !errors.Is(err, rpctypes.ErrTooManyLearners) || time.Now().After(deadline) {
			return nil, err
		}
	}
}

// nodeOf is the node's part of a member's name.
func nodeOf(member string) string {
	if end := strings.LastIndex(member, "-"); end > 0 {
		return member[:end]
	}
	return member
}
