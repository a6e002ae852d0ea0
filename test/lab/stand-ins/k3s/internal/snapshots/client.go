package snapshots

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"lab/stand-ins/k3s/internal/config"
	"lab/stand-ins/k3s/internal/log"
)

// post sends a request to the running server with the token, and reads its answer.
func post(options *config.Options, asked request, answer any) error {
	token := options.EtcdToken
	if token == "" {
		content, err := os.ReadFile(filepath.Join(options.DataDir, "server", "token"))
		if err != nil {
			return err
		}
		token = strings.TrimSpace(string(content))
	}
	client, err := trusting(options.EtcdServer, token)
	if err != nil {
		return err
	}
	client.Timeout = 2 * time.Minute
	if options.S3 != nil {
		client.Timeout += options.S3.Timeout
	}
	body, _ := json.Marshal(asked)
	call, err := http.NewRequest(http.MethodPost, options.EtcdServer+"/db/snapshot", bytes.NewReader(body))
	if err != nil {
		return err
	}
	call.SetBasicAuth("server", passwordOf(token))
	response, err := client.Do(call)
	if err != nil {
		return fmt.Errorf("see server log for details: %w", err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("see server log for details: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		var failure status
		if json.Unmarshal(content, &failure) != nil || failure.Message == "" {
			failure.Message = strings.TrimSpace(string(content))
		}
		return errors.New("see server log for details: " + failure.Message)
	}
	return json.Unmarshal(content, answer)
}

// trusting makes a client that trusts what the server says is its authority, checked against the hash in the token when there is one.
func trusting(server, token string) (*http.Client, error) {
	blind := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	response, err := blind.Get(server + "/cacerts")
	if err != nil {
		return nil, fmt.Errorf("failed to get CA certs: %w", err)
	}
	defer response.Body.Close()
	pem, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("failed to get CA certs: %w", err)
	}
	sum := sha256.Sum256(pem)
	if want := hashOf(token); want == "" {
		log.Warnf("Cluster CA certificate is not trusted by the host CA bundle, but the token does not include a CA hash. Use the full token from the server's node-token file to enable Cluster CA validation.")
	} else if want != hex.EncodeToString(sum[:]) {
		return nil, fmt.Errorf("token CA hash does not match the Cluster CA certificate hash: %s != %s", want, hex.EncodeToString(sum[:]))
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true}}, nil
}

// hashOf is the middle of K10<hash>::server:password, "" of a bare password.
func hashOf(token string) string {
	hash, _, full := strings.Cut(strings.TrimPrefix(token, "K10"), "::")
	if !full {
		return ""
	}
	return hash
}

func passwordOf(token string) string {
	if _, credentials, full := strings.Cut(token, "::"); full {
		token = credentials
	}
	if _, password, named := strings.Cut(token, ":"); named {
		return password
	}
	return token
}
