// Package server is `k3s server` and `rke2 server`: it starts etcd, joins clusters, resets and restores.
package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	stdlog "log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"lab/stand-ins/k3s/internal/config"
	"lab/stand-ins/k3s/internal/fault"
	"lab/stand-ins/k3s/internal/kube"
	"lab/stand-ins/k3s/internal/log"
	"lab/stand-ins/k3s/internal/personality"
	"lab/stand-ins/k3s/internal/snapshots"
)

var discard = stdlog.New(io.Discard, "", 0)

// Server is one running server.
type Server struct {
	p       personality.Personality
	options *config.Options
	env     map[string]string
	dir     paths
	ip      string
	// given is the token as the user wrote it, token its password.
	given token
	token string
	// member is the name in etcd: the node's name and eight hexadecimal digits.
	member string
	// rejoined is when a new member was made for a node that may be known already.
	rejoined  time.Time
	client    *clientv3.Client
	objects   *kube.Store
	snapshots *snapshots.Manager
	pods      *pods
	stopEtcd  func()
	// besideServer is set when this reset was started while the server runs.
	besideServer bool
}

// Run is the command `server`. It returns the exit code.
func Run(p personality.Personality, args []string, env map[string]string) int {
	options, err := config.Parse(p, "server", args, env)
	if usage := (*config.UsageError)(nil); errors.As(err, &usage) {
		fmt.Println(usage.Help)
	}
	if err != nil {
		return log.Fatalf("%s", err)
	}
	for _, warning := range options.Warnings {
		log.Warnf("%s", warning)
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	dir := paths(options.DataDir)
	s := &supervisor{
		Server: &Server{p: p, options: options, env: programVariables(p, env), dir: dir, pods: &pods{dir, p, ctx}},
		ready:  make(chan struct{}),
	}
	go s.endAtSignal()
	if options.DisableAgent {
		log.Warnf("Webhooks and apiserver aggregation may not function properly without an agent; please set egress-selector-mode to 'cluster' or 'pod'")
	}
	if err := s.refuse(); err != nil {
		return log.Fatalf("%s", err)
	}
	err = s.start(ctx)
	if errors.Is(err, errOtherToken) {
		// The original finds it in a goroutine of its own, which panics.
		fmt.Fprintf(os.Stderr, "panic: %s\n\ngoroutine 1 [running]:\n", err)
		return 2
	}
	if err != nil {
		return log.Fatalf("starting kubernetes: preparing server: %s", err)
	}
	if options.ClusterReset {
		return 0
	}
	<-ctx.Done()
	return 0
}

// programVariables are those that the Node shows in its annotation.
func programVariables(p personality.Personality, env map[string]string) map[string]string {
	own := map[string]string{}
	for name, value := range env {
		if strings.HasPrefix(name, p.EnvPrefix+"_") {
			own[name] = value
		}
	}
	return own
}

// refuse is what is checked before anything is touched.
func (s *Server) refuse() error {
	o := s.options
	if o.RestorePath != "" && !o.ClusterReset {
		return errors.New("invalid flag use; --cluster-reset required with --cluster-reset-restore-path")
	}
	if o.ClusterReset && o.Server != "" && !s.p.Old() {
		return errors.New("cannot perform cluster-reset while server URL is set - remove server from configuration before resetting")
	}
	if o.ClusterReset && o.Token == "" && !exists(s.dir.token()) {
		return fmt.Errorf("%s does not exist, please pass --token to complete the restoration", s.dir.token())
	}
	if o.Server != "" && o.Token == "" && !exists(s.dir.token()) {
		return errors.New("--token is required")
	}
	return nil
}

func (s *supervisor) start(ctx context.Context) error {
	if err := s.prepare(); err != nil {
		return err
	}
	log.Infof("Starting %s %s (standin0)", s.p.Program, s.p.Version)
	usesEtcd := s.dir.initialized() || s.options.ClusterInit || s.options.ClusterReset || s.options.Server != "" || s.p.StaticPods
	if s.options.DatastoreEndpoint != "" || !usesEtcd {
		return s.startWithoutEtcd()
	}
	other, err := s.bootstrap(ctx)
	if err != nil {
		return err
	}
	if err := s.dir.ensureAuthorities(s.p.Program); err != nil {
		return err
	}
	if err := s.dir.signLeaves(s.options.NodeName, s.ip, s.options.TLSSan); err != nil {
		return err
	}
	if err := s.listen(); err != nil {
		return err
	}
	if s.client, err = s.dir.connect(ctx, "https://127.0.0.1:2379"); err != nil {
		return err
	}
	resetDone := exists(s.dir.resetFlag())
	if s.options.ClusterReset {
		if s.options.RestorePath == "" && resetDone {
			return fmt.Errorf("start managed database: Managed etcd cluster membership was previously reset, please remove the cluster-reset flag and start %s normally. If you need to perform another cluster reset, you must first manually delete the file at %s", s.p.Program, s.dir.resetFlag())
		}
		return s.reset(ctx)
	}
	if err := s.startMember(ctx, other); err != nil {
		return fmt.Errorf("start managed database: %w", err)
	}
	if err := os.Remove(s.dir.resetFlag()); err != nil && !os.IsNotExist(err) {
		return err
	}
	if err := s.announce(); err != nil {
		return err
	}
	if err := s.serveDatastore(ctx); err != nil {
		return err
	}
	if resetDone {
		if err := s.objects.DeleteNodePassword(ctx, s.options.NodeName); err != nil {
			return err
		}
	}
	return s.serveCluster(ctx)
}

// prepare finds who this server is.
func (s *Server) prepare() error {
	if err := s.dir.create(); err != nil {
		return err
	}
	// Relative restore paths count from here.
	if err := os.Chdir(s.dir.server()); err != nil {
		return err
	}
	if s.options.NodeName == "" {
		name, err := os.Hostname()
		if err != nil {
			return err
		}
		s.options.NodeName = strings.ToLower(name)
	}
	if s.ip = s.options.NodeIP; s.ip == "" {
		s.ip = ownAddress()
	}
	text := s.options.Token
	if text == "" {
		content, _ := os.ReadFile(s.dir.token())
		text = string(content)
	}
	if text == "" {
		text = randomHex(16)
	}
	s.given = parseToken(text)
	s.token = s.given.password
	if s.p.StaticPods {
		return s.preparePods()
	}
	return nil
}

// preparePods begins without old pods after a restore, and when this server will join again.
func (s *Server) preparePods() error {
	flag := s.dir.data("force-restart")
	if err := s.pods.installKubectl(); err != nil {
		return err
	}
	if s.options.ClusterReset {
		if s.options.RestorePath == "" {
			return nil
		}
		return os.WriteFile(flag, nil, 0o600)
	}
	if exists(flag) || !exists(s.dir.etcd("name")) {
		s.pods.endAll()
		if err := os.Remove(flag); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	return nil
}

// ownAddress is the first global IPv4 address of this machine.
func ownAddress() string {
	addresses, _ := net.InterfaceAddrs()
	for _, address := range addresses {
		network, ok := address.(*net.IPNet)
		if ok && network.IP.IsGlobalUnicast() && network.IP.To4() != nil {
			return network.IP.String()
		}
	}
	return "127.0.0.1"
}

// announce writes the token and the kubeconfig, and says so.
func (s *Server) announce() error {
	if err := s.dir.writeToken(s.token); err != nil {
		return err
	}
	url := fmt.Sprintf("https://%s:%d", s.ip, s.p.SupervisorPort)
	log.Infof("Server node token is available at %s", s.dir.token())
	log.Infof("To join server node to cluster: %s server -s %s -t ${SERVER_NODE_TOKEN}", s.p.Program, url)
	log.Infof("Agent node token is available at %s", s.dir.server("agent-token"))
	log.Infof("To join agent node to cluster: %s agent -s %s -t ${AGENT_NODE_TOKEN}", s.p.Program, url)
	if err := s.writeKubeconfig(); err != nil {
		return err
	}
	log.Infof("Wrote kubeconfig %s", s.p.Kubeconfig)
	log.Infof("Run: %s kubectl", s.p.Program)
	return nil
}

// serveDatastore waits for etcd and makes the cluster's first keys.
func (s *supervisor) serveDatastore(ctx context.Context) error {
	go s.manageLearners(ctx)
	if _, on := fault.On("start-never-ends"); on {
		<-ctx.Done()
	}
	if err := s.waitForEtcd(ctx); err != nil {
		return err
	}
	data, err := s.dir.readBootstrap()
	if err != nil {
		return err
	}
	if err := saveBootstrap(ctx, s.client, s.token, data); err != nil {
		return err
	}
	s.objects = kube.New(s.client, s.p)
	return s.objects.EnsureCluster(ctx)
}

// serveCluster opens the API and does what a server does from then on.
func (s *supervisor) serveCluster(ctx context.Context) error {
	s.snapshots = snapshots.New(s.client, s.options, snapshots.Node{
		Personality: s.p, Name: s.options.NodeName, Endpoint: "https://127.0.0.1:2379", TokenPassword: s.token, Objects: s.objects,
	})
	if s.p.StaticPods {
		if err := s.pods.startAPIServer(); err != nil {
			return err
		}
	} else {
		api := authenticated(s.objects.Handler())
		s.api.Store(&api)
	}
	log.Infof("ETCD server is now running")
	if err := s.registerNode(ctx); err != nil {
		return err
	}
	close(s.ready)
	log.Infof("%s is up and running", s.p.Program)
	notifyReady()
	go s.reportNode(ctx)
	go s.snapshots.Reconcile(ctx)
	return s.snapshots.StartSchedule(ctx)
}

// startWithoutEtcd is K3s on SQLite or on an external datastore: enough for being refused.
func (s *supervisor) startWithoutEtcd() error {
	if err := s.dir.ensureAuthorities(s.p.Program); err != nil {
		return err
	}
	if err := s.dir.signLeaves(s.options.NodeName, s.ip, s.options.TLSSan); err != nil {
		return err
	}
	if s.options.DatastoreEndpoint == "" {
		if err := os.WriteFile(s.dir.server("db", "state.db"), []byte("SQLite format 3\x00"), 0o600); err != nil {
			return err
		}
	}
	if err := s.listen(); err != nil {
		return err
	}
	if err := s.announce(); err != nil {
		return err
	}
	api := http.Handler(http.HandlerFunc(func(answer http.ResponseWriter, _ *http.Request) { _, _ = answer.Write([]byte("ok")) }))
	s.api.Store(&api)
	close(s.ready)
	log.Infof("%s is up and running", s.p.Program)
	notifyReady()
	return nil
}

// endAtSignal ends at SIGTERM: with 0 when the server was up, with 2 while it waits for its datastore.
func (s *supervisor) endAtSignal() {
	<-terminated()
	signal.Ignore(syscall.SIGTERM)
	log.Warnf("signal received: \"terminated\", canceling context...")
	select {
	case <-s.ready:
		os.Exit(0)
	default:
	}
	if s.client == nil || s.options.ClusterReset {
		os.Exit(1)
	}
	fmt.Fprintln(os.Stderr, "panic: context canceled")
	os.Exit(2)
}

// notifyReady tells systemd that the service has started.
func notifyReady() {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return
	}
	if strings.HasPrefix(path, "@") {
		path = "\x00" + path[1:]
	}
	connection, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return
	}
	defer connection.Close()
	_, _ = connection.Write([]byte("READY=1\n"))
}

func (s *Server) writeKubeconfig() error {
	encoded := func(path string) string {
		content, _ := os.ReadFile(s.dir.tls(path))
		return base64Of(content)
	}
	content := fmt.Sprintf(`apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: %s
    server: https://127.0.0.1:%d
  name: default
contexts:
- context:
    cluster: default
    user: default
  name: default
current-context: default
kind: Config
preferences: {}
users:
- name: default
  user:
    client-certificate-data: %s
    client-key-data: %s
`, encoded("server-ca.crt"), s.p.APIServerPort(), encoded("client-admin.crt"), encoded("client-admin.key"))
	if err := os.MkdirAll(filepath.Dir(s.p.Kubeconfig), 0o755); err != nil {
		return err
	}
	return os.WriteFile(s.p.Kubeconfig, []byte(content), 0o600)
}
