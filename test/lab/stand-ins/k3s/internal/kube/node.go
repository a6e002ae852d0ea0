package kube

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"lab/stand-ins/k3s/internal/log"
)

// Node is what a server says of itself.
type Node struct {
	Name       string
	Address    string
	MemberName string // of its etcd member: s1-49aba739; "" keeps what the Node says already
	// Voter is false while the member is a learner.
	Voter bool
	Ready bool
	// Agent: the node runs no etcd.
	Agent bool
	// Args and Env fill the annotations <prog>.io/node-args and node-env.
	Args []string
	Env  map[string]string
}

// UpsertNode creates or updates a Node with its etcd annotations and its condition EtcdIsVoter.
func (s *Store) UpsertNode(ctx context.Context, node Node) error {
	_, err := s.Change(ctx, "nodes", "", node.Name, func(object Object) { s.describe(object, node) })
	if !errors.Is(err, ErrNotFound) {
		return err
	}
	object := Object{"metadata": Object{"name": node.Name}}
	s.describe(object, node)
	return s.Create(ctx, "nodes", object)
}

func (s *Store) describe(object Object, node Node) {
	metadata := Child(object, "metadata")
	metadata["finalizers"] = []any{"wrangler.cattle.io/managed-etcd-controller", "wrangler.cattle.io/node"}
	maps.Copy(Child(metadata, "labels"), Object{
		"beta.kubernetes.io/arch": "amd64", "beta.kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
		"kubernetes.io/hostname": node.Name, "kubernetes.io/os": "linux",
	})
	if !node.Agent {
		Child(metadata, "labels")["node-role.kubernetes.io/etcd"] = "true"
	}
	annotations := Child(metadata, "annotations")
	annotations["node.alpha.kubernetes.io/ttl"] = "0"
	if node.Address != "" {
		annotations[s.annotation("node-address")] = node.Address
	}
	if node.MemberName != "" {
		annotations[s.annotation("node-name")] = node.MemberName
	}
	if node.Args != nil {
		annotations[s.p.Program+".io/node-args"] = asJSON(append([]string{"server"}, redacted(node.Args)...))
		annotations[s.p.Program+".io/node-env"] = asJSON(withoutSecrets(node.Env))
	}
	object["spec"] = Object{"podCIDR": "10.42.0.0/24", "podCIDRs": []any{"10.42.0.0/24"}}
	voter := condition("EtcdIsVoter", node.Voter, "MemberNotLearner", "Node is a voting member of the etcd cluster")
	if !node.Voter {
		voter = condition("EtcdIsVoter", false, "MemberIsLearner", "Node has not been promoted to voting member of the etcd cluster")
	}
	conditions := []any{condition("Ready", node.Ready, "KubeletReady", "stand-in: there is no kubelet")}
	if !node.Agent {
		conditions = append([]any{voter}, conditions...)
	}
	object["status"] = Object{
		"addresses":       []any{Object{"address": node.Address, "type": "InternalIP"}, Object{"address": node.Name, "type": "Hostname"}},
		"conditions":      conditions,
		"daemonEndpoints": Object{"kubeletEndpoint": Object{"Port": 0}},
		"nodeInfo": Object{
			"architecture": "", "bootID": "", "containerRuntimeVersion": "", "kernelVersion": "", "kubeProxyVersion": "",
			"kubeletVersion": s.p.Version, "machineID": "", "operatingSystem": "", "osImage": "", "systemUUID": "",
		},
	}
}

func condition(kind string, holds bool, reason, message string) Object {
	status := "False"
	if holds {
		status = "True"
	}
	now := time.Now().UTC().Format(time.RFC3339)
	return Object{"type": kind, "status": status, "reason": reason, "message": message, "lastHeartbeatTime": now, "lastTransitionTime": now}
}

// Annotate sets annotations of a Node that exists; of one that does not, it does nothing.
func (s *Store) Annotate(ctx context.Context, node string, annotations map[string]string) error {
	_, err := s.Change(ctx, "nodes", "", node, func(object Object) {
		for name, value := range annotations {
			Child(Child(object, "metadata"), "annotations")[s.annotation(name)] = value
		}
	})
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// removeMember drops the member of that very name: after a rejoin the Node may still name the stale one, and then the new one stays.
func (s *Store) removeMember(ctx context.Context, name string) {
	members, err := s.client.MemberList(ctx)
	if err != nil {
		log.Errorf("Failed to remove etcd member %s: %v", name, err)
		return
	}
	for _, member := range members.Members {
		if name != "" && member.Name == name {
			log.Infof("Removing name=%s id=%d address=%s from etcd", member.Name, member.ID, member.PeerURLs)
			if _, err := s.client.MemberRemove(ctx, member.ID); err != nil {
				log.Errorf("Failed to remove etcd member %s: %v", name, err)
			}
		}
	}
}

// EnsureNodePassword refuses a node whose password differs from the one in the Secret <node>.node-password.<prog>, and writes the Secret when it is missing.
func (s *Store) EnsureNodePassword(ctx context.Context, node, password string) error {
	sum := sha256.Sum256([]byte(password))
	hash := hex.EncodeToString(sum[:])
	secret := Object{
		"metadata":  Object{"name": s.nodePassword(node), "namespace": "kube-system"},
		"type":      "Opaque",
		"immutable": true,
		"data":      Object{"hash": base64Of(hash)},
	}
	err := s.Create(ctx, "secrets", secret)
	if !errors.Is(err, ErrExists) {
		return err
	}
	stored, err := s.Get(ctx, "secrets", "kube-system", s.nodePassword(node))
	if err != nil {
		return err
	}
	if Text(stored, "data", "hash") != base64Of(hash) {
		return fmt.Errorf("unable to verify hash for node '%s': hash does not match", node)
	}
	return nil
}

// DeleteNodePassword removes that Secret, as the first start after a restore does.
func (s *Store) DeleteNodePassword(ctx context.Context, node string) error {
	if err := s.Delete(ctx, "secrets", "kube-system", s.nodePassword(node)); err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	return nil
}

func (s *Store) nodePassword(node string) string { return node + ".node-password." + s.p.Program }

var secretFlags = []string{"--token", "-t", "--agent-token", "--datastore-endpoint", "--etcd-s3-access-key", "--etcd-s3-secret-key", "--etcd-s3-session-token"}

// redacted hides the values of secret flags, in both spellings.
func redacted(args []string) []string {
	hidden := slices.Clone(args)
	for i, arg := range args {
		name, _, joined := strings.Cut(arg, "=")
		switch {
		case !slices.Contains(secretFlags, name):
		case joined:
			hidden[i] = name + "=********"
		case i+1 < len(hidden):
			hidden[i+1] = "********"
		}
	}
	return hidden
}

func withoutSecrets(env map[string]string) map[string]string {
	shown := map[string]string{}
	for name, value := range env {
		if strings.Contains(name, "TOKEN") || strings.Contains(name, "KEY") {
			value = "********"
		}
		shown[name] = value
	}
	return shown
}

// asJSON sorts the names of a map by itself.
func asJSON(value any) string {
	text, _ := json.Marshal(value)
	return string(text)
}

func base64Of(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
