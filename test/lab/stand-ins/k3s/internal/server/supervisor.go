package server

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"lab/stand-ins/k3s/internal/log"
)

// servingTLS reads certificates at every handshake, because a reset replaces them while the port is open.
func (d paths) servingTLS() (*tls.Config, error) {
	load := func(*tls.ClientHelloInfo) (*tls.Config, error) {
		pair, err := tls.LoadX509KeyPair(d.tls("serving-kube-apiserver.crt"), d.tls("serving-kube-apiserver.key"))
		if err != nil {
			return nil, err
		}
		authority, err := os.ReadFile(d.tls("client-ca.crt"))
		if err != nil {
			return nil, err
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(authority)
		return &tls.Config{
			Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.VerifyClientCertIfGiven,
			NextProtos: []string{"h2", "http/1.1"}, MinVersion: tls.VersionTLS12,
		}, nil
	}
	config, err := load(nil)
	if err != nil {
		return nil, err
	}
	config.GetConfigForClient = load
	return config, nil
}

// authenticated lets clients with a certificate through, and everyone to what needs none.
func authenticated(next http.Handler) http.Handler {
	public := map[string]bool{"/version": true, "/readyz": true, "/livez": true, "/healthz": true}
	return http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		if !public[request.URL.Path] && (request.TLS == nil || len(request.TLS.VerifiedChains) == 0) {
			sendStatus(answer, request, http.StatusUnauthorized, "Unauthorized")
			return
		}
		next.ServeHTTP(answer, request)
	})
}

// sendStatus answers as Kubernetes does when something is wrong.
func sendStatus(answer http.ResponseWriter, request *http.Request, code int, message string) {
	log.Errorf("Sending HTTP/1.1 %d response to %s: %s", code, request.RemoteAddr, message)
	reason := strings.ReplaceAll(http.StatusText(code), " ", "")
	answer.Header().Set("Content-Type", "application/json")
	answer.WriteHeader(code)
	_ = json.NewEncoder(answer).Encode(map[string]any{
		"kind": "Status", "apiVersion": "v1", "metadata": map[string]any{}, "status": "Failure",
		"message": message, "reason": reason, "code": code,
	})
}

// supervisor is the HTTP side of a server, which answers from the first second: before etcd is up with "unavailable".
type supervisor struct {
	*Server
	// api answers Kubernetes requests; nil until the datastore is up, and always nil where kube-apiserver has a process of its own.
	api   atomic.Pointer[http.Handler]
	ready chan struct{}
}

func (s *supervisor) listen() error {
	config, err := s.dir.servingTLS()
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", fmt.Sprintf(":%d", s.p.SupervisorPort))
	if err != nil && s.options.ClusterReset {
		// Beside a running server a reset gets as far as etcd's ports.
		s.besideServer = true
		return nil
	}
	if err != nil {
		return err
	}
	quiet := &http.Server{Handler: s.routes(), ErrorLog: discard}
	go func() { _ = quiet.Serve(tls.NewListener(listener, config)) }()
	return nil
}

func (s *supervisor) routes() http.Handler {
	mux := http.NewServeMux()
	prefix := "/v1-" + s.p.Program
	mux.HandleFunc("/cacerts", func(answer http.ResponseWriter, _ *http.Request) {
		content, _ := os.ReadFile(s.dir.tls("server-ca.crt"))
		_, _ = answer.Write(content)
	})
	mux.HandleFunc("/ping", func(answer http.ResponseWriter, _ *http.Request) { _, _ = answer.Write([]byte("pong")) })
	mux.Handle(prefix+"/readyz", s.withToken(s.whenReady(func(answer http.ResponseWriter, _ *http.Request) { _, _ = answer.Write([]byte("ok")) })))
	mux.Handle(prefix+"/server-bootstrap", s.withToken(s.whenReady(s.serveBootstrap)))
	mux.Handle(prefix+"/connect", s.withToken(s.whenReady(s.serveConnection)))
	mux.Handle("/db/info", s.withToken(s.whenReady(s.serveMembers)))
	mux.Handle("/db/snapshot", s.withToken(s.whenReady(func(answer http.ResponseWriter, request *http.Request) {
		if s.snapshots == nil {
			sendStatus(answer, request, http.StatusBadRequest, "etcd datastore disabled")
			return
		}
		s.snapshots.Handler().ServeHTTP(answer, request)
	})))
	mux.HandleFunc("/", func(answer http.ResponseWriter, request *http.Request) {
		api := s.api.Load()
		if api == nil {
			sendStatus(answer, request, http.StatusServiceUnavailable, "the server is currently unable to handle the request")
			return
		}
		(*api).ServeHTTP(answer, request)
	})
	return mux
}

// withToken asks for the password of the token, as Basic authentication.
func (s *supervisor) withToken(next http.Handler) http.Handler {
	return http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		user, password, _ := request.BasicAuth()
		if password != s.token || user != "server" && user != "node" {
			sendStatus(answer, request, http.StatusUnauthorized, "not authorized")
			return
		}
		next.ServeHTTP(answer, request)
	})
}

// whenReady holds a request back until the server is up.
func (s *supervisor) whenReady(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		select {
		case <-s.ready:
			next(answer, request)
		case <-time.After(60 * time.Second):
			sendStatus(answer, request, http.StatusServiceUnavailable, "etcd datastore is not available")
		case <-request.Context().Done():
		}
	})
}

func (s *supervisor) serveBootstrap(answer http.ResponseWriter, request *http.Request) {
	data, err := s.dir.readBootstrap()
	if err != nil {
		sendStatus(answer, request, http.StatusInternalServerError, err.Error())
		return
	}
	_ = json.NewEncoder(answer).Encode(data)
}

type member struct {
	Name                 string
	PeerURLs, ClientURLs []string
	ID                   uint64
}

func (s *supervisor) serveMembers(answer http.ResponseWriter, request *http.Request) {
	list, err := s.client.MemberList(request.Context())
	if err != nil {
		sendStatus(answer, request, http.StatusInternalServerError, err.Error())
		return
	}
	members := []member{}
	for _, one := range list.Members {
		members = append(members, member{one.Name, one.PeerURLs, one.ClientURLs, one.ID})
	}
	_ = json.NewEncoder(answer).Encode(map[string]any{"members": members})
}

// remote is another server's supervisor, asked with this server's token.
type remote struct {
	url      string
	token    token
	http     *http.Client
	caBundle []byte
}

// dialRemote fetches the CA of another server, and compares it with the token's hash where the token has one.
func dialRemote(url string, with token) (*remote, error) {
	url = strings.TrimSuffix(url, "/")
	insecure := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	answer, err := insecure.Get(url + "/cacerts")
	if err != nil {
		return nil, fmt.Errorf("failed to get CA certs: %w", err)
	}
	defer answer.Body.Close()
	bundle, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	if hash := fmt.Sprintf("%x", sha256.Sum256(bundle)); with.caHash != "" && hash != with.caHash {
		return nil, fmt.Errorf("token CA hash does not match the Cluster CA certificate hash: %s != %s", with.caHash, hash)
	} else if with.caHash == "" {
		log.Warnf("Cluster CA certificate is not trusted by the host CA bundle, but the token does not include a CA hash. Use the full token from the server's node-token file to enable Cluster CA validation.")
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(bundle)
	return &remote{url: url, token: with, caBundle: bundle, http: &http.Client{
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}},
	}}, nil
}

// get asks and decodes the JSON of the answer.
func (r *remote) get(ctx context.Context, path string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url+path, nil)
	if err != nil {
		return err
	}
	request.SetBasicAuth("server", r.token.password)
	answer, err := r.http.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		status := struct{ Message string }{}
		_ = json.NewDecoder(answer.Body).Decode(&status)
		if status.Message == "" {
			return fmt.Errorf("%s: %s", r.url+path, answer.Status)
		}
		return errors.New(status.Message)
	}
	return json.NewDecoder(answer.Body).Decode(into)
}
