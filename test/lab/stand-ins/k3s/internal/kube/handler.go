package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"lab/stand-ins/k3s/internal/fault"
)

// Handler answers /readyz, /livez, /healthz, /version, /api and /apis. The caller has authenticated the client by its certificate.
// Deleting a Node removes the etcd member that its annotation node-name names.
func (s *Store) Handler() http.Handler {
	mux := http.NewServeMux()
	for _, path := range []string{"/readyz", "/livez", "/healthz"} {
		mux.HandleFunc(path, s.health)
	}
	mux.HandleFunc("/version", func(w http.ResponseWriter, r *http.Request) {
		minor := strings.Split(s.p.Version, ".")[1]
		reply(w, http.StatusOK, Object{"major": "1", "minor": minor, "gitVersion": s.p.Version, "platform": "linux/amd64"})
	})
	mux.HandleFunc("/", s.objects)
	return mux
}

// health is that of the datastore: a read that needs the quorum.
func (s *Store) health(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	_, err := s.client.Get(ctx, "/registry/health")
	if _, unready := fault.On("apiserver-unready"); unready {
		err = errors.New("fault")
	}
	check := strings.TrimPrefix(r.URL.Path, "/")
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprintf(w, "[+]ping ok\n[+]log ok\n[-]etcd failed: reason withheld\n%s check failed\n", check)
		return
	}
	if r.URL.Query().Has("verbose") {
		fmt.Fprintf(w, "[+]ping ok\n[+]log ok\n[+]etcd ok\n[+]etcd-readiness ok\n[+]informer-sync ok\n%s check passed\n", check)
		return
	}
	fmt.Fprint(w, "ok")
}

func (s *Store) objects(w http.ResponseWriter, r *http.Request) {
	kind, namespace, name, ok := parsePath(r.URL.Path)
	if !ok || kind.group != "" && s.p.Old() {
		fail(w, http.StatusNotFound, "NotFound", "the server could not find the requested resource")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
	defer cancel()
	err := s.serve(ctx, w, r, kind, namespace, &name)
	quoted := fmt.Sprintf("%s %q", kind.resourceName(), name)
	switch {
	case err == nil:
	case errors.Is(err, ErrNotFound):
		fail(w, http.StatusNotFound, "NotFound", quoted+" not found")
	case errors.Is(err, ErrExists):
		fail(w, http.StatusConflict, "AlreadyExists", quoted+" already exists")
	case errors.Is(err, context.DeadlineExceeded):
		fail(w, http.StatusServiceUnavailable, "ServiceUnavailable", "the server is currently unable to handle the request")
	default:
		fail(w, http.StatusInternalServerError, "InternalError", "Internal error occurred: "+err.Error())
	}
}

// serve answers one request. Of a new object it finds the name in the body.
func (s *Store) serve(ctx context.Context, w http.ResponseWriter, r *http.Request, kind resource, namespace string, called *string) error {
	name := *called
	switch {
	case r.Method == http.MethodGet && name == "":
		objects, err := s.List(ctx, kind.plural, namespace)
		if err == nil {
			reply(w, http.StatusOK, Object{"kind": kind.kind + "List", "apiVersion": kind.apiVersion(), "metadata": Object{}, "items": objects})
		}
		return err
	case r.Method == http.MethodGet:
		object, err := s.Get(ctx, kind.plural, namespace, name)
		if err == nil {
			reply(w, http.StatusOK, object)
		}
		return err
	case r.Method == http.MethodDelete:
		err := s.Delete(ctx, kind.plural, namespace, name)
		if err == nil {
			reply(w, http.StatusOK, Object{"kind": "Status", "apiVersion": "v1", "metadata": Object{}, "status": "Success"})
		}
		return err
	}
	content, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	var object Object
	if err := json.Unmarshal(content, &object); err != nil {
		return err
	}
	if r.Method == http.MethodPatch {
		changed, err := s.Change(ctx, kind.plural, namespace, name, func(stored Object) { merge(stored, object) })
		if err == nil {
			reply(w, http.StatusOK, changed)
		}
		return err
	}
	if kind.namespaced {
		Child(object, "metadata")["namespace"] = namespace
	}
	if kind.kind == "Secret" {
		encodeStringData(object)
	}
	*called = Text(object, "metadata", "name")
	if r.Method == http.MethodPost {
		err = s.Create(ctx, kind.plural, object)
	} else {
		err = s.Put(ctx, kind.plural, object)
	}
	if err == nil {
		reply(w, http.StatusCreated, object)
	}
	return err
}

// merge is a JSON merge patch.
func merge(object, patch map[string]any) {
	for name, value := range patch {
		fields, nested := value.(map[string]any)
		switch {
		case value == nil:
			delete(object, name)
		case nested:
			merge(Child(object, name), fields)
		default:
			object[name] = value
		}
	}
}

// encodeStringData does for a Secret what the API server does with stringData.
func encodeStringData(secret Object) {
	for name := range Child(secret, "stringData") {
		Child(secret, "data")[name] = base64Of(Text(secret, "stringData", name))
	}
	delete(secret, "stringData")
}

// parsePath takes /api/v1/namespaces/<ns>/secrets/<name> and its like apart.
func parsePath(path string) (kind resource, namespace, name string, ok bool) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	group := ""
	switch {
	case len(parts) > 2 && parts[0] == "api":
		parts = parts[2:]
	case len(parts) > 3 && parts[0] == "apis":
		group, parts = parts[1], parts[3:]
	default:
		return
	}
	if len(parts) > 2 && parts[0] == "namespaces" {
		namespace, parts = parts[1], parts[2:]
	}
	if len(parts) > 1 {
		name = parts[1]
	}
	kind, ok = resourceNamed(parts[0])
	return kind, namespace, name, ok && kind.group == group
}

func reply(w http.ResponseWriter, code int, object Object) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(object)
}

func fail(w http.ResponseWriter, code int, reason, message string) {
	reply(w, code, Object{"kind": "Status", "apiVersion": "v1", "metadata": Object{}, "status": "Failure", "reason": reason, "message": message, "code": code})
}
