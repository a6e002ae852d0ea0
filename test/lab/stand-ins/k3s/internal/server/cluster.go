package server

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"lab/stand-ins/k3s/internal/fault"
	"lab/stand-ins/k3s/internal/kube"
	"lab/stand-ins/k3s/internal/log"
)

// manageLearners promotes learners while this server leads, and evicts one that does not come along.
func (s *Server) manageLearners(ctx context.Context) {
	since := map[uint64]time.Time{}
	for ; ctx.Err() == nil; time.Sleep(300 * time.Millisecond) {
		if _, on := fault.On("no-promotion"); on {
			continue
		}
		short, cancel := context.WithTimeout(ctx, 3*time.Second)
		s.promote(short, since)
		cancel()
	}
}

func (s *Server) promote(ctx context.Context, since map[uint64]time.Time) {
	status, err := s.client.Status(ctx, "https://127.0.0.1:2379")
	if err != nil || status.Leader != status.Header.MemberId {
		return
	}
	list, err := s.client.MemberList(ctx, clientv3.WithSerializable())
	if err != nil {
		return
	}
	for _, one := range list.Members {
		if !one.IsLearner {
			delete(since, one.ID)
			continue
		}
		if since[one.ID].IsZero() {
			since[one.ID] = time.Now()
		}
		if time.Since(since[one.ID]) > 5*time.Minute {
			log.Warnf("Removing learner member %s from etcd cluster: it made no progress for 5m0s", one.Name)
			_, _ = s.client.MemberRemove(ctx, one.ID)
			continue
		}
		// etcd itself refuses as long as the learner is behind.
		_, _ = s.client.MemberPromote(ctx, one.ID)
	}
}

// registerNode is what the server's own agent does first. A password other than the one stored is refused, for as long as it differs.
func (s *Server) registerNode(ctx context.Context) error {
	if s.options.DisableAgent {
		return s.objects.UpsertNode(ctx, s.ownNode())
	}
	password, err := nodePassword()
	if err != nil {
		return err
	}
	for {
		err := s.objects.EnsureNodePassword(ctx, s.options.NodeName, password)
		if err == nil {
			return s.objects.UpsertNode(ctx, s.ownNode())
		}
		log.Errorf("Waiting to retrieve agent configuration; server is not ready: %s", err)
		time.Sleep(2 * time.Second)
	}
}

// nodePassword is this machine's own, made when there is none.
func nodePassword() (string, error) {
	const path = "/etc/rancher/node/password"
	if content, err := os.ReadFile(path); err == nil {
		return strings.TrimSpace(string(content)), nil
	}
	password := randomHex(16)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	return password, os.WriteFile(path, []byte(password+"\n"), 0o600)
}

// staleName is for how long the Node of a server that rejoined names its former member: whoever deletes the Node in this time
// removes the wrong one. It is some seconds in the original too.
const staleName = 4 * time.Second

func (s *Server) ownNode() kube.Node {
	node := kube.Node{
		Name: s.options.NodeName, Address: s.ip, MemberName: s.member, Voter: true, Ready: true, Args: s.options.Given, Env: s.env,
	}
	if time.Since(s.rejoined) < staleName {
		node.MemberName = ""
	}
	return node
}

// reportNode is the heartbeat, and what notices the silence of others.
func (s *Server) reportNode(ctx context.Context) {
	for ctx.Err() == nil {
		pause := 5 * time.Second
		if time.Since(s.rejoined) < staleName {
			pause = staleName
		}
		time.Sleep(pause)
		short, cancel := context.WithTimeout(ctx, 3*time.Second)
		if err := errors.Join(s.objects.Heartbeat(short, s.ownNode()), s.objects.MarkSilent(short, 15*time.Second)); err != nil {
			log.Errorf("error syncing node %s: %s", s.options.NodeName, err)
		}
		cancel()
	}
}
