package snapshots_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"

	"lab/stand-ins/k3s/internal/config"
	"lab/stand-ins/k3s/internal/fault"
	"lab/stand-ins/k3s/internal/kube"
	"lab/stand-ins/k3s/internal/log"
	"lab/stand-ins/k3s/internal/personality"
	"lab/stand-ins/k3s/internal/snapshots"
)

// server is what the command lines talk to: a real etcd, the API and /db/snapshot, on ports of its own.
type server struct {
	p          personality.Personality
	dataDir    string
	kubeconfig string
	s3         string // endpoint that stands for the recorded one
	serverLog  *bytes.Buffer
	client     *clientv3.Client
	objects    *kube.Store
	manager    *snapshots.Manager
	options    *config.Options
}

func startServer(t *testing.T, configure ...func(*server)) *server {
	t.Helper()
	s := &server{p: personality.Of("k3s"), serverLog: &bytes.Buffer{}, s3: "127.0.0.1:7070"}
	s.p.Version = "v1.35.4+k3s1"
	log.SetOutput(s.serverLog)
	fault.Folder = t.TempDir()
	// As long as /var/lib/rancher/k3s, so that tables have the recorded widths.
	s.dataDir = fmt.Sprintf("/tmp/stand-in-%06d", time.Now().UnixNano()%1000000)
	t.Cleanup(func() { os.RemoveAll(s.dataDir) })
	s.p.DataDir = s.dataDir
	s.p.ConfigFile = filepath.Join(s.dataDir, "config.yaml")
	must(t, os.MkdirAll(filepath.Join(s.dataDir, "server", "db"), 0o700))
	for _, c := range configure {
		c(s)
	}
	endpoint := s.startEtcd(t)
	s.objects = kube.New(s.client, s.p)
	must(t, s.objects.EnsureCluster(t.Context()))
	must(t, s.objects.UpsertNode(t.Context(), kube.Node{Name: "s1", Address: "10.78.0.11", MemberName: "s1-49aba739", Voter: true, Ready: true}))
	options, err := config.Parse(s.p, "server", []string{"--node-name=s1"}, nil)
	must(t, err)
	s.options = options
	s.manager = snapshots.New(s.client, options, snapshots.Node{Personality: s.p, Name: "s1", Endpoint: endpoint, TokenPassword: "labtoken1", Objects: s.objects})
	s.serve(t)
	snapshots.SetEtcdEndpoint(endpoint)
	return s
}

func (s *server) startEtcd(t *testing.T) string {
	t.Helper()
	settings := embed.NewConfig()
	settings.Dir = filepath.Join(s.dataDir, "server", "db", "etcd")
	settings.LogLevel = "error"
	listen := func() url.URL { return url.URL{Scheme: "http", Host: freePort(t)} }
	settings.ListenClientUrls, settings.ListenPeerUrls = []url.URL{listen()}, []url.URL{listen()}
	settings.AdvertiseClientUrls, settings.AdvertisePeerUrls = settings.ListenClientUrls, settings.ListenPeerUrls
	settings.InitialCluster = settings.InitialClusterFromName(settings.Name)
	etcd, err := embed.StartEtcd(settings)
	must(t, err)
	t.Cleanup(etcd.Close)
	<-etcd.Server.ReadyNotify()
	endpoint := settings.ListenClientUrls[0].String()
	s.client, err = clientv3.New(clientv3.Config{Endpoints: []string{endpoint}})
	must(t, err)
	t.Cleanup(func() { s.client.Close() })
	return endpoint
}

// fill makes snapshots as large as the recorded ones: their tables are as wide, with bytes that compress well and bytes that do not.
func (s *server) fill(t *testing.T, dull, random int) {
	t.Helper()
	noise := make([]byte, random)
	rand.Read(noise)
	for i := 0; i < dull; i += 50_000 {
		_, err := s.client.Put(t.Context(), fmt.Sprintf("/filler/%d", i), strings.Repeat("x", 50_000))
		must(t, err)
	}
	_, err := s.client.Put(t.Context(), "/noise", string(noise))
	must(t, err)
}

// serve opens the supervisor and the API on one port, as K3s does.
func (s *server) serve(t *testing.T) {
	t.Helper()
	mux := http.NewServeMux()
	web := httptest.NewUnstartedServer(mux)
	web.StartTLS()
	t.Cleanup(web.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw})
	mux.HandleFunc("/cacerts", func(w http.ResponseWriter, r *http.Request) { w.Write(ca) })
	mux.Handle("/db/snapshot", s.manager.Handler())
	mux.Handle("/", s.objects.Handler())
	_, port, _ := net.SplitHostPort(web.Listener.Addr().String())
	fmt.Sscan(port, &s.p.SupervisorPort)

	must(t, os.WriteFile(filepath.Join(s.dataDir, "server", "token"), fmt.Appendf(nil, "K10%x::server:labtoken1\n", sha256.Sum256(ca)), 0o600))
	key, err := x509.MarshalPKCS8PrivateKey(web.TLS.Certificates[0].PrivateKey)
	must(t, err)
	encode := base64.StdEncoding.EncodeToString
	// What the old command line reads; a test's etcd speaks without TLS.
	folder := filepath.Join(s.dataDir, "server", "tls", "etcd")
	must(t, os.MkdirAll(folder, 0o700))
	must(t, os.WriteFile(filepath.Join(folder, "server-ca.crt"), ca, 0o600))
	must(t, os.WriteFile(filepath.Join(folder, "client.crt"), ca, 0o600))
	must(t, os.WriteFile(filepath.Join(folder, "client.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), 0o600))
	s.kubeconfig = filepath.Join(s.dataDir, "k3s.yaml")
	must(t, os.WriteFile(s.kubeconfig, fmt.Appendf(nil, "clusters:\n- cluster: {server: %q, certificate-authority-data: %s}\nusers:\n- user: {client-certificate-data: %s, client-key-data: %s}\n",
		web.URL, encode(ca), encode(ca), encode(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))), 0o600))
}

// startS3 runs versitygw from the lab's cache, or skips the test.
func startS3(t *testing.T, buckets ...string) string {
	t.Helper()
	cache, _ := os.UserCacheDir()
	found, _ := filepath.Glob(filepath.Join(cache, "pulumi-etcd-backup", "versitygw-*", "versitygw"))
	if len(found) == 0 {
		t.Skip("versitygw is not in the cache: node test/setup.mjs --lab")
	}
	folder := t.TempDir()
	for _, bucket := range buckets {
		must(t, os.Mkdir(filepath.Join(folder, bucket), 0o755))
	}
	address := freePort(t)
	ctx, cancel := context.WithCancel(context.Background())
	command := exec.CommandContext(ctx, found[len(found)-1], "--port", address, "posix", folder)
	command.Env = []string{"ROOT_ACCESS_KEY=labak", "ROOT_SECRET_KEY=labsecretkey"}
	must(t, command.Start())
	t.Cleanup(func() { cancel(); command.Wait() })
	for range 100 {
		if connection, err := net.Dial("tcp", address); err == nil {
			connection.Close()
			return address
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("versitygw did not start")
	return ""
}

func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer listener.Close()
	return listener.Addr().String()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
