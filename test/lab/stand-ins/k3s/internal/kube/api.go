package kube

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"sigs.k8s.io/yaml"
)

// api is a connection to an API server.
type api struct {
	server string
	client *http.Client
}

// refusedError is how kubectl words it.
type refusedError struct{ host string }

func (e refusedError) Error() string {
	return fmt.Sprintf("The connection to the server %s was refused - did you specify the right host or port?", e.host)
}

// connect reads a kubeconfig with one cluster and one user.
func connect(path string) (*api, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("error loading config file %q: %w", path, err)
	}
	var kubeconfig struct {
		Clusters []struct {
			Cluster struct {
				Server string `json:"server"`
				CA     string `json:"certificate-authority-data"`
			} `json:"cluster"`
		} `json:"clusters"`
		Users []struct {
			User struct {
				Certificate string `json:"client-certificate-data"`
				Key         string `json:"client-key-data"`
			} `json:"user"`
		} `json:"users"`
	}
	if err := yaml.Unmarshal(content, &kubeconfig); err != nil {
		return nil, err
	}
	if len(kubeconfig.Clusters) == 0 || len(kubeconfig.Users) == 0 {
		return nil, errors.New("kubeconfig names no cluster or no user")
	}
	cluster, user := kubeconfig.Clusters[0].Cluster, kubeconfig.Users[0].User
	decoded := func(text string) []byte { pem, _ := base64.StdEncoding.DecodeString(text); return pem }
	pair, err := tls.X509KeyPair(decoded(user.Certificate), decoded(user.Key))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(decoded(cluster.CA))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}}, DisableKeepAlives: true}
	return &api{server: cluster.Server, client: &http.Client{Timeout: 30 * time.Second, Transport: transport}}, nil
}

func (a *api) call(method, path string, body []byte) ([]byte, error) {
	request, err := http.NewRequest(method, a.server+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	response, err := a.client.Do(request)
	if errors.Is(err, syscall.ECONNREFUSED) {
		address, _ := url.Parse(a.server)
		return nil, refusedError{address.Host}
	}
	if err != nil {
		return nil, fmt.Errorf("Unable to connect to the server: %w", errors.Unwrap(err))
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode < 300 {
		return content, nil
	}
	var status struct{ Reason, Message string }
	if json.Unmarshal(content, &status) != nil || status.Message == "" {
		return nil, apiError{"InternalError", "an error on the server (" + fmt.Sprintf("%q", string(content)) + ") has prevented the request from succeeding"}
	}
	if response.StatusCode == http.StatusServiceUnavailable {
		status.Reason = "ServiceUnavailable"
		status.Message += fmt.Sprintf(" (%s %s)", strings.ToLower(method), lastWord(path))
	}
	return nil, apiError{status.Reason, status.Message}
}

// lastWord of a path is the resource: (get configmaps).
func lastWord(path string) string {
	path, _, _ = strings.Cut(path, "?")
	return path[strings.LastIndexByte(path, '/')+1:]
}

func (a *api) get(kind resource, namespace, name string) (Object, error) {
	content, err := a.call(http.MethodGet, kind.path(namespace)+"/"+name, nil)
	if err != nil {
		return nil, err
	}
	var object Object
	err = json.Unmarshal(content, &object)
	return object, err
}

func (a *api) list(kind resource, namespace string) ([]Object, error) {
	content, err := a.call(http.MethodGet, kind.path(namespace), nil)
	if err != nil {
		return nil, err
	}
	var found struct{ Items []Object }
	err = json.Unmarshal(content, &found)
	return found.Items, err
}

func (a *api) create(kind resource, namespace string, object Object) error {
	body, _ := json.Marshal(object)
	_, err := a.call(http.MethodPost, kind.path(namespace), body)
	return err
}
