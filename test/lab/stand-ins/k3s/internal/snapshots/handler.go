package snapshots

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"

	"lab/stand-ins/k3s/internal/config"
	"lab/stand-ins/k3s/internal/fault"
	"lab/stand-ins/k3s/internal/log"
)

// request is what the command line sends to /db/snapshot.
type request struct {
	Operation string     `json:"operation"`
	Name      []string   `json:"name,omitempty"`
	Dir       *string    `json:"dir,omitempty"`
	Compress  *bool      `json:"compress,omitempty"`
	Retention *int       `json:"retention,omitempty"`
	S3        *config.S3 `json:"s3,omitempty"`
}

// status is Kubernetes' way to say what went wrong.
type status struct {
	Kind       string   `json:"kind"`
	APIVersion string   `json:"apiVersion"`
	Metadata   struct{} `json:"metadata"`
	Status     string   `json:"status"`
	Message    string   `json:"message"`
	Code       int      `json:"code"`
}

// Handler answers /db/snapshot.
func (m *Manager) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if user != "server" || subtle.ConstantTimeCompare([]byte(password), []byte(m.node.TokenPassword)) != 1 {
			sendError(w, r, http.StatusUnauthorized, errors.New("not authorized"))
			return
		}
		var asked request
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
			sendErrorWithID(w, r, err)
			return
		}
		m.with(asked).answer(w, r, asked)
	})
}

// with is this Manager with the settings of a request. Folder and S3 come from the request alone; the server's own are not looked at.
func (m *Manager) with(asked request) *Manager {
	options := *m.options
	options.Snapshots.Dir, options.S3 = "", asked.S3
	if len(asked.Name) > 0 {
		options.Snapshots.Name = asked.Name[0]
	}
	if asked.Dir != nil {
		options.Snapshots.Dir = *asked.Dir
	}
	if asked.Compress != nil {
		options.Snapshots.Compress = *asked.Compress
	}
	if asked.Retention != nil {
		options.Snapshots.Retention = *asked.Retention
	}
	return &Manager{client: m.client, options: &options, node: m.node, saving: m.saving}
}

func (m *Manager) answer(w http.ResponseWriter, r *http.Request, asked request) {
	if m.options.S3 != nil {
		if _, err := m.openBucket(r.Context()); err != nil {
			sendError(w, r, http.StatusBadRequest, fmt.Errorf("failed to initialize S3 client: %w", err))
			return
		}
	}
	if asked.Operation == "list" {
		files, err := m.files(r.Context())
		if err != nil {
			sendErrorWithID(w, r, err)
			return
		}
		found := list{Kind: "List", APIVersion: "v1"}
		for _, f := range files {
			item := f.listed(m.node.Personality)
			item.Kind, item.APIVersion = "ETCDSnapshotFile", "k3s.cattle.io/v1"
			found.Items = append(found.Items, item)
		}
		send(w, found)
		return
	}
	var result *Result
	var err error
	switch asked.Operation {
	case "save":
		if message, fails := fault.On("save-errors"); fails {
			err = errors.New(or(message, "etcdserver: no leader"))
			break
		}
		result, err = m.save(r.Context())
	case "prune":
		result, err = m.prune(r.Context())
	case "delete":
		for _, name := range asked.Name {
			if filepath.Base(name) != name {
				sendError(w, r, http.StatusBadRequest, errors.New("invalid snapshot name: path traversal not allowed"))
				return
			}
		}
		result, err = m.delete(r.Context(), asked.Name)
	default:
		err = errors.New("invalid snapshot operation")
	}
	if err != nil {
		sendErrorWithID(w, r, err)
		return
	}
	m.reconcile(r.Context(), result)
	send(w, result)
}

func send(w http.ResponseWriter, answer any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(answer)
}

// sendError answers with a Status, and logs it, as every handler of the supervisor does.
func sendError(w http.ResponseWriter, r *http.Request, code int, err error) {
	log.Errorf("Sending HTTP/1.1 %d response to %s: %v", code, r.RemoteAddr, err)
	message := err.Error()
	if code == http.StatusInternalServerError {
		message = "Internal error occurred: " + message
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(status{Kind: "Status", APIVersion: "v1", Status: "Failure", Message: message, Code: code})
}

// sendErrorWithID keeps the cause in the server's log and gives the client a number to look for.
func sendErrorWithID(w http.ResponseWriter, r *http.Request, err error) {
	id := fmt.Sprintf("etcd-snapshot error ID %05d", rand.IntN(100000))
	log.Errorf("%s: %v", id, err)
	sendError(w, r, http.StatusInternalServerError, errors.New(id))
}
