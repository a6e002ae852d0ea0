package kube

import "strings"

// resource is a kind of object that the stand-in keeps.
type resource struct {
	kind, plural string
	group        string // "" for the core group
	short        string
	namespaced   bool
	prefix       string // of its keys in etcd
}

var resources = []resource{
	{kind: "Node", plural: "nodes", short: "no", prefix: "/registry/minions/"},
	{kind: "Namespace", plural: "namespaces", short: "ns", prefix: "/registry/namespaces/"},
	{kind: "Secret", plural: "secrets", namespaced: true, prefix: "/registry/secrets/"},
	{kind: "ConfigMap", plural: "configmaps", short: "cm", namespaced: true, prefix: "/registry/configmaps/"},
	{kind: "Event", plural: "events", short: "ev", namespaced: true, prefix: "/registry/events/"},
	{kind: "Pod", plural: "pods", short: "po", namespaced: true, prefix: "/registry/pods/"},
	{kind: "ETCDSnapshotFile", plural: "etcdsnapshotfiles", group: "k3s.cattle.io", prefix: "/registry/k3s.cattle.io/etcdsnapshotfiles/"},
}

// resourceNamed understands nodes, node, no, Node and etcdsnapshotfiles.k3s.cattle.io.
func resourceNamed(name string) (resource, bool) {
	name, _, _ = strings.Cut(strings.ToLower(name), ".")
	for _, r := range resources {
		if name == r.plural || name == r.singular() || (r.short != "" && name == r.short) {
			return r, true
		}
	}
	return resource{}, false
}

func (r resource) singular() string { return strings.ToLower(r.kind) }

// qualified is the name in `configmap/x created` and `No resources found`.
func (r resource) qualified() string {
	if r.group == "" {
		return r.singular()
	}
	return r.singular() + "." + r.group
}

func (r resource) apiVersion() string {
	if r.group == "" {
		return "v1"
	}
	return r.group + "/v1"
}

// path of the collection in the API.
func (r resource) path(namespace string) string {
	root := "/api/v1"
	if r.group != "" {
		root = "/apis/" + r.group + "/v1"
	}
	if r.namespaced && namespace != "" {
		root += "/namespaces/" + namespace
	}
	return root + "/" + r.plural
}

// key of one object, or of all in a namespace when name is "".
func (r resource) key(namespace, name string) string {
	if r.namespaced && namespace != "" {
		return r.prefix + namespace + "/" + name
	}
	return r.prefix + name
}

// resourceName is the name in messages: etcdsnapshotfiles.k3s.cattle.io "x" not found.
func (r resource) resourceName() string {
	if r.group == "" {
		return r.plural
	}
	return r.plural + "." + r.group
}
