// Package kube keeps the few Kubernetes objects that snapshots and restores touch as keys in etcd, and answers for them as an API server does.
package kube

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"lab/stand-ins/k3s/internal/personality"
)

// Object is one Kubernetes object as JSON has it.
type Object map[string]any

// ErrExists and ErrNotFound are the two answers that callers tell apart.
var (
	ErrExists   = errors.New("already exists")
	ErrNotFound = errors.New("not found")
)

// Store holds the objects of one cluster.
type Store struct {
	client *clientv3.Client
	p      personality.Personality
}

// New makes a Store on a client that is authenticated already.
func New(client *clientv3.Client, p personality.Personality) *Store {
	return &Store{client: client, p: p}
}

// EnsureCluster writes the namespaces and what else a new cluster holds; it leaves alone what is there.
func (s *Store) EnsureCluster(ctx context.Context) error {
	for _, name := range []string{"kube-system", "default", "kube-public", "kube-node-lease"} {
		r, _ := resourceNamed("namespaces")
		if err := s.createKey(ctx, r.key("", name), encodeNamespace(name, newUID(), time.Now())); err != nil && !errors.Is(err, ErrExists) {
			return err
		}
		root := Object{"kind": "ConfigMap", "metadata": Object{"name": "kube-root-ca.crt", "namespace": name}, "data": Object{"ca.crt": ""}}
		if err := s.Create(ctx, "configmaps", root); err != nil && !errors.Is(err, ErrExists) {
			return err
		}
	}
	return nil
}

// ClusterID is the UID of the namespace kube-system.
func (s *Store) ClusterID(ctx context.Context) (string, error) {
	namespace, err := s.Get(ctx, "namespaces", "", "kube-system")
	if err != nil {
		return "", err
	}
	return Text(namespace, "metadata", "uid"), nil
}

// Get reads one object; ErrNotFound when there is none.
func (s *Store) Get(ctx context.Context, plural, namespace, name string) (Object, error) {
	r, _ := resourceNamed(plural)
	response, err := s.client.Get(ctx, r.key(namespace, name))
	if err != nil {
		return nil, err
	}
	if len(response.Kvs) == 0 {
		return nil, ErrNotFound
	}
	return decode(r, response.Kvs[0].Value, response.Kvs[0].ModRevision)
}

// List reads the objects of a namespace, or all when it is "", by name.
func (s *Store) List(ctx context.Context, plural, namespace string) ([]Object, error) {
	r, _ := resourceNamed(plural)
	response, err := s.client.Get(ctx, r.key(namespace, ""), clientv3.WithPrefix())
	if err != nil {
		return nil, err
	}
	var objects []Object
	for _, kv := range response.Kvs {
		object, err := decode(r, kv.Value, kv.ModRevision)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", kv.Key, err)
		}
		objects = append(objects, object)
	}
	return objects, nil
}

// Create fills in what a server adds to a new object and writes it; ErrExists when it is there.
func (s *Store) Create(ctx context.Context, plural string, object Object) error {
	r, _ := resourceNamed(plural)
	object["apiVersion"], object["kind"] = r.apiVersion(), r.kind
	metadata := Child(object, "metadata")
	metadata["uid"] = newUID()
	metadata["creationTimestamp"] = time.Now().UTC().Format(time.RFC3339)
	key := r.key(Text(object, "metadata", "namespace"), Text(object, "metadata", "name"))
	if r.kind == "Namespace" {
		return s.createKey(ctx, key, encodeNamespace(Text(object, "metadata", "name"), newUID(), time.Now()))
	}
	return s.createKey(ctx, key, encode(object))
}

// Put writes an object over what is there.
func (s *Store) Put(ctx context.Context, plural string, object Object) error {
	r, _ := resourceNamed(plural)
	_, err := s.client.Put(ctx, r.key(Text(object, "metadata", "namespace"), Text(object, "metadata", "name")), string(encode(object)))
	return err
}

// Change reads an object, changes it and writes it back, again from the start when somebody else wrote in between; ErrNotFound when there is none.
func (s *Store) Change(ctx context.Context, plural, namespace, name string, change func(Object)) (Object, error) {
	r, _ := resourceNamed(plural)
	for {
		object, err := s.Get(ctx, plural, namespace, name)
		if err != nil {
			return nil, err
		}
		revision, _ := strconv.ParseInt(Text(object, "metadata", "resourceVersion"), 10, 64)
		change(object)
		key := r.key(namespace, name)
		response, err := s.client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(key), "=", revision)).Then(clientv3.OpPut(key, string(encode(object)))).Commit()
		if err != nil || response.Succeeded {
			return object, err
		}
	}
}

// Delete removes an object; ErrNotFound when there is none. With a Node go its password and the etcd member that its annotation names,
// with a namespace all that lies in it.
func (s *Store) Delete(ctx context.Context, plural, namespace, name string) error {
	r, _ := resourceNamed(plural)
	response, err := s.client.Delete(ctx, r.key(namespace, name), clientv3.WithPrevKV())
	if err != nil {
		return err
	}
	if response.Deleted == 0 {
		return ErrNotFound
	}
	switch r.kind {
	case "Namespace":
		return s.empty(ctx, name)
	case "Node":
		node, err := decode(r, response.PrevKvs[0].Value, response.PrevKvs[0].ModRevision)
		if err != nil {
			return err
		}
		// Last: when the member is the leader, etcd loses what is asked of it in the next moment.
		defer s.removeMember(ctx, Text(node, "metadata", "annotations", s.annotation("node-name")))
		return s.DeleteNodePassword(ctx, name)
	}
	return nil
}

func (s *Store) empty(ctx context.Context, namespace string) error {
	for _, r := range resources {
		if !r.namespaced {
			continue
		}
		if _, err := s.client.Delete(ctx, r.key(namespace, ""), clientv3.WithPrefix()); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) createKey(ctx context.Context, key string, value []byte) error {
	response, err := s.client.Txn(ctx).If(clientv3.Compare(clientv3.CreateRevision(key), "=", 0)).Then(clientv3.OpPut(key, string(value))).Commit()
	if err == nil && !response.Succeeded {
		return ErrExists
	}
	return err
}

// annotation is etcd.k3s.cattle.io/<name>, or rke2's.
func (s *Store) annotation(name string) string {
	return "etcd." + s.p.Program + ".cattle.io/" + name
}

func encode(object Object) []byte {
	delete(Child(object, "metadata"), "resourceVersion")
	content, _ := json.Marshal(object)
	return content
}

func decode(r resource, content []byte, revision int64) (Object, error) {
	var object Object
	if strings.HasPrefix(string(content), magic) {
		object = decodeNamespace(content)
	} else if err := json.Unmarshal(content, &object); err != nil {
		return nil, err
	}
	object["apiVersion"], object["kind"] = r.apiVersion(), r.kind
	Child(object, "metadata")["resourceVersion"] = strconv.FormatInt(revision, 10)
	return object, nil
}

// Text reads a string inside an object, "" when it is not there.
func Text(object Object, path ...string) string {
	var at any = map[string]any(object)
	for _, name := range path {
		switch fields := at.(type) {
		case map[string]any:
			at = fields[name]
		case Object:
			at = fields[name]
		default:
			return ""
		}
	}
	text, _ := at.(string)
	return text
}

// Child returns a field that is an object, made when it is missing.
func Child(object Object, name string) Object {
	switch fields := object[name].(type) {
	case Object:
		return fields
	case map[string]any:
		return fields
	}
	child := Object{}
	object[name] = child
	return child
}

func newUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:])
}
