package kube

import (
	"bytes"
	"fmt"
	"net"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"

	"lab/stand-ins/k3s/internal/personality"
)

type cluster struct {
	*Store
	stop func()
	web  *httptest.Server
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	settings := embed.NewConfig()
	settings.Dir, settings.LogLevel = t.TempDir(), "error"
	listen := func() url.URL {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		defer listener.Close()
		return url.URL{Scheme: "http", Host: listener.Addr().String()}
	}
	settings.ListenClientUrls, settings.ListenPeerUrls = []url.URL{listen()}, []url.URL{listen()}
	settings.AdvertiseClientUrls, settings.AdvertisePeerUrls = settings.ListenClientUrls, settings.ListenPeerUrls
	settings.InitialCluster = settings.InitialClusterFromName(settings.Name)
	etcd, err := embed.StartEtcd(settings)
	must(t, err)
	stop := sync.OnceFunc(etcd.Close)
	t.Cleanup(stop)
	<-etcd.Server.ReadyNotify()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{settings.ListenClientUrls[0].String()}})
	must(t, err)
	t.Cleanup(func() { client.Close() })
	p := personality.Of("k3s")
	p.Version = "v1.35.4+k3s1"
	c := &cluster{Store: New(client, p), stop: stop}
	must(t, c.EnsureCluster(t.Context()))
	c.web = httptest.NewServer(c.Handler())
	t.Cleanup(c.web.Close)
	return c
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// kubectl returns both outputs and the exit code as the transcript shows them.
func (c *cluster) kubectl(words ...string) string {
	var stdout, stderr bytes.Buffer
	k := &kubectl{p: c.p, stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, api: &api{server: c.web.URL, client: c.web.Client()}}
	exit := k.run(words)
	return fmt.Sprintf("%s%sexit %d", stdout.String(), stderr.String(), exit)
}

func (c *cluster) expect(t *testing.T, want string, words ...string) {
	t.Helper()
	if have := c.kubectl(words...); have != want {
		t.Errorf("kubectl %s\n%s\n--- wanted\n%s", strings.Join(words, " "), have, want)
	}
}

func TestTheTablesOfKubectl(t *testing.T) {
	c := startCluster(t)
	c.expect(t, "No resources found\nexit 0", "get", "nodes")
	must(t, c.UpsertNode(t.Context(), Node{Name: "s1", Address: "10.78.0.11", MemberName: "s1-49aba739", Voter: true, Ready: true}))
	c.expect(t, "NAME   STATUS   ROLES   AGE   VERSION\ns1     Ready    etcd    0s    v1.35.4+k3s1\nexit 0", "get", "nodes")
	c.expect(t, "NAME   STATUS   ROLES   AGE   VERSION        INTERNAL-IP   EXTERNAL-IP   OS-IMAGE    KERNEL-VERSION   CONTAINER-RUNTIME\n"+
		"s1     Ready    etcd    0s    v1.35.4+k3s1   10.78.0.11    <none>        <unknown>   <unknown>        <unknown>\nexit 0", "get", "nodes", "-o", "wide")
	c.expect(t, "configmap/ha-before created\nexit 0", "create", "configmap", "ha-before", "--from-literal=a=1")
	c.expect(t, "error: failed to create configmap: configmaps \"ha-before\" already exists\nexit 1", "create", "configmap", "ha-before")
	c.expect(t, `NAME                         DATA   AGE
configmap/ha-before          1      0s
configmap/kube-root-ca.crt   1      0s

NAME      STATUS   ROLES   AGE   VERSION
node/s1   Ready    etcd    0s    v1.35.4+k3s1
exit 0`, "get", "cm,nodes")
	c.expect(t, "NAME      STATUS   ROLES   AGE   VERSION\nnode/s1   Ready    etcd    0s    v1.35.4+k3s1\nexit 0", "get", "nodes,etcdsnapshotfile")
	c.expect(t, "Error from server (NotFound): nodes \"s9\" not found\nexit 1", "get", "node", "s9")
	c.expect(t, "exit 0", "get", "node", "s9", "--ignore-not-found")
	c.expect(t, "No resources found in kube-system namespace.\nexit 0", "get", "secrets", "-n", "kube-system")
}

func TestDeletingANodeRemovesTheMemberThatItNames(t *testing.T) {
	c := startCluster(t)
	_, err := c.client.MemberAddAsLearner(t.Context(), []string{"http://127.0.0.1:1"})
	must(t, err)
	must(t, c.UpsertNode(t.Context(), Node{Name: "s3", MemberName: "s3-stale"}))
	c.expect(t, "node \"s3\" deleted\nexit 0", "delete", "node", "s3")
	if members, _ := c.client.MemberList(t.Context()); len(members.Members) != 2 {
		t.Error("a stale name removed a member")
	}
	c.expect(t, "Error from server (NotFound): nodes \"s3\" not found\nexit 1", "delete", "node", "s3")
}

func TestWithANamespaceGoesWhatLiesInIt(t *testing.T) {
	c := startCluster(t)
	c.expect(t, "namespace/shop created\nexit 0", "create", "namespace", "shop")
	c.expect(t, "configmap/hours created\nexit 0", "create", "configmap", "hours", "-n", "shop")
	c.expect(t, "configmap/hours created\nexit 0", "create", "configmap", "hours", "-n", "default")
	c.expect(t, "namespace \"shop\" deleted\nexit 0", "delete", "namespace", "shop")
	c.expect(t, "Error from server (NotFound): configmaps \"hours\" not found\nexit 1", "get", "configmap", "hours", "-n", "shop", "-o", "name")
	c.expect(t, "configmap/hours\nexit 0", "get", "configmap", "hours", "-n", "default", "-o", "name")
}

func TestPathsIntoObjects(t *testing.T) {
	c := startCluster(t)
	must(t, c.UpsertNode(t.Context(), Node{Name: "s1", Address: "10.0.0.1", MemberName: "s1-1", Voter: true, Ready: true}))
	must(t, c.UpsertNode(t.Context(), Node{Name: "s2", Address: "10.0.0.2", MemberName: "s2-1", Ready: true}))
	for template, want := range map[string]string{
		`{.items[*].metadata.name}`: "s1 s2",
		`{range .items[*]}{.metadata.name}{"\t"}{.status.conditions[?(@.type=="EtcdIsVoter")].status}{"\n"}{end}`: "s1\tTrue\ns2\tFalse\n",
		`{.items[0].metadata.annotations.etcd\.k3s\.cattle\.io/node-name}`:                                        "s1-1",
	} {
		have := c.kubectl("get", "nodes", "-o", "jsonpath="+template)
		if have != want+"exit 0" {
			t.Errorf("%s: %q", template, have)
		}
	}
	c.expect(t, "node/s1 annotated\nexit 0", "annotate", "node", "s1", "etcd.k3s.cattle.io/remove=true")
	c.expect(t, "trueexit 0", "get", "node", "s1", "-o", `jsonpath={.metadata.annotations.etcd\.k3s\.cattle\.io/remove}`)
}

func TestNamespacesAreStoredInKubernetesOwnEncoding(t *testing.T) {
	c := startCluster(t)
	stored, err := c.client.Get(t.Context(), "/registry/namespaces/kube-system")
	must(t, err)
	value := stored.Kvs[0].Value
	if !bytes.HasPrefix(value, []byte("k8s\x00\n\x0f\n\x02v1\x12\tNamespace\x12")) {
		t.Errorf("%q", value)
	}
	id, err := c.ClusterID(t.Context())
	must(t, err)
	if len(id) != 36 || !bytes.Contains(value, []byte("*$"+id)) {
		t.Errorf("%s %q", id, value)
	}
	c.expect(t, id+"exit 0", "get", "ns", "kube-system", "-o", "jsonpath={.metadata.uid}")
	must(t, c.EnsureCluster(t.Context()))
	if again, _ := c.ClusterID(t.Context()); again != id {
		t.Error("a second start made another cluster of it")
	}
}

func TestTheEncodingIsThatOfARealNamespace(t *testing.T) {
	// As Kubernetes 1.35 wrote it, without its managedFields.
	real := "k8s\x00\n\x0f\n\x02v1\x12\tNamespace\x12\x8d\x01\ns\n\vkube-system\x12\x00\x1a\x00\"\x00*$44c4aa8a-5e91-40a0-8856-020cd72800ff2\x008\x00B\b\b\x92\xb7\x86\xd8\x06\x10\x00Z*\n" +
		"\x1bkubernetes.io/metadata.name\x12\vkube-system\x12\f\n\nkubernetes\x1a\b\n\x06Active\x1a\x00\"\x00"
	if have := encodeNamespace("kube-system", "44c4aa8a-5e91-40a0-8856-020cd72800ff", time.Unix(1795267474, 0)); string(have) != real {
		t.Errorf("%q\n%q", have, real)
	}
}

func TestANodePasswordIsKeptAndCompared(t *testing.T) {
	c := startCluster(t)
	must(t, c.EnsureNodePassword(t.Context(), "s1", "first"))
	must(t, c.EnsureNodePassword(t.Context(), "s1", "first"))
	if err := c.EnsureNodePassword(t.Context(), "s1", "second"); err == nil {
		t.Error("another password was accepted")
	}
	c.expect(t, "secret \"s1.node-password.k3s\" deleted from kube-system namespace\nexit 0", "delete", "secret", "s1.node-password.k3s", "-n", "kube-system")
	must(t, c.EnsureNodePassword(t.Context(), "s1", "second"))
}

func TestReadinessIsThatOfTheDatastore(t *testing.T) {
	c := startCluster(t)
	c.expect(t, "okexit 0", "get", "--raw", "/readyz")
	if have := c.kubectl("get", "--raw", "/readyz?verbose"); !strings.Contains(have, "[+]etcd ok\n") || !strings.Contains(have, "readyz check passed") {
		t.Error(have)
	}
	c.stop()
	if have := c.kubectl("get", "--raw", "/readyz"); !strings.Contains(have, "exit 1") {
		t.Error(have)
	}
	c.expect(t, "Error from server (ServiceUnavailable): the server is currently unable to handle the request (get nodes)\nexit 1", "get", "nodes")
}

func TestAgesAreWordedAsKubectlDoes(t *testing.T) {
	for seconds, want := range map[int]string{14: "14s", 118: "118s", 122: "2m2s", 340: "5m40s", 780: "13m", 4 * 3600: "4h"} {
		if have := age(time.Now().Add(-time.Duration(seconds) * time.Second).UTC().Format(time.RFC3339)); have != want {
			t.Errorf("%d: %s", seconds, have)
		}
	}
}

func TestANodeShowsItsArgumentsWithoutTheirSecrets(t *testing.T) {
	c := startCluster(t)
	must(t, c.UpsertNode(t.Context(), Node{Name: "s1", Args: []string{"--cluster-init", "--token", "a", "--etcd-s3-secret-key=b"}, Env: map[string]string{"K3S_TOKEN": "c"}}))
	c.expect(t, `["server","--cluster-init","--token","********","--etcd-s3-secret-key=********"] {"K3S_TOKEN":"********"}exit 0`,
		"get", "node", "s1", "-o", `jsonpath={.metadata.annotations.k3s\.io/node-args} {.metadata.annotations.k3s\.io/node-env}`)
}

func TestDeletingANodeWhoseMemberIsNamedRightRemovesIt(t *testing.T) {
	c := startCluster(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	peer := url.URL{Scheme: "http", Host: listener.Addr().String()}
	listener.Close()
	members, err := c.client.MemberAddAsLearner(t.Context(), []string{peer.String()})
	must(t, err)
	settings := embed.NewConfig()
	settings.Name, settings.Dir, settings.LogLevel, settings.ClusterState = "s3-61c5345e", t.TempDir(), "error", embed.ClusterStateFlagExisting
	settings.ListenPeerUrls, settings.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	settings.ListenClientUrls = []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}}
	settings.InitialCluster = fmt.Sprintf("default=%s,s3-61c5345e=%s", members.Members[0].PeerURLs[0], peer.String())
	if members.Members[0].Name == "" {
		settings.InitialCluster = fmt.Sprintf("default=%s,s3-61c5345e=%s", members.Members[1].PeerURLs[0], peer.String())
	}
	second, err := embed.StartEtcd(settings)
	must(t, err)
	t.Cleanup(second.Close)
	must(t, c.UpsertNode(t.Context(), Node{Name: "s3", MemberName: "s3-61c5345e"}))
	deadline := time.Now().Add(10 * time.Second)
	for {
		list, err := c.client.MemberList(t.Context())
		must(t, err)
		if slices.ContainsFunc(list.Members, func(m *etcdserverpb.Member) bool { return m.Name == "s3-61c5345e" }) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the second member did not start")
		}
		time.Sleep(50 * time.Millisecond)
	}
	c.expect(t, "node \"s3\" deleted\nexit 0", "delete", "node", "s3")
	if list, _ := c.client.MemberList(t.Context()); len(list.Members) != 1 {
		t.Errorf("%v", list.Members)
	}
}
