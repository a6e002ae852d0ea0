package snapshots

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"lab/stand-ins/k3s/internal/config"
	"lab/stand-ins/k3s/internal/kube"
	"lab/stand-ins/k3s/internal/personality"
)

// file is one snapshot in one place.
type file struct {
	name      string
	location  string // file:///… or s3://bucket/key; "" when it never got there
	node      string // where it is kept: a node's name, or s3
	created   time.Time
	size      int64
	tokenHash string
	metadata  map[string]string // of the extra-metadata ConfigMap
	s3        *config.S3
	failure   string
}

// label of an object: where the snapshot is kept.
func label(p personality.Personality) string {
	return "etcd." + p.Program + ".cattle.io/snapshot-storage-node"
}

// listed is an ETCDSnapshotFile with its fields in the order in which `ls -o json` prints them.
type listed struct {
	Kind       string `json:"kind"`
	APIVersion string `json:"apiVersion"`
	Metadata   struct {
		Name        string            `json:"name"`
		Labels      map[string]string `json:"labels,omitempty"`
		Annotations map[string]string `json:"annotations,omitempty"`
	} `json:"metadata"`
	Spec struct {
		SnapshotName string            `json:"snapshotName"`
		NodeName     string            `json:"nodeName"`
		Location     string            `json:"location"`
		Metadata     map[string]string `json:"metadata,omitempty"`
		S3           *listedS3         `json:"s3,omitempty"`
	} `json:"spec"`
	Status struct {
		Size         string       `json:"size,omitempty"`
		CreationTime string       `json:"creationTime,omitempty"`
		ReadyToUse   bool         `json:"readyToUse"`
		Error        *listedError `json:"error,omitempty"`
	} `json:"status"`
}

type listedS3 struct {
	Endpoint      string `json:"endpoint,omitempty"`
	EndpointCA    string `json:"endpointCA,omitempty"`
	SkipSSLVerify bool   `json:"skipSSLVerify,omitempty"`
	Bucket        string `json:"bucket,omitempty"`
	BucketLookup  string `json:"bucketLookup,omitempty"`
	Region        string `json:"region,omitempty"`
	Prefix        string `json:"prefix,omitempty"`
	Insecure      bool   `json:"insecure,omitempty"`
}

type listedError struct {
	Time    string `json:"time,omitempty"`
	Message string `json:"message,omitempty"`
}

type list struct {
	Kind       string   `json:"kind"`
	APIVersion string   `json:"apiVersion"`
	Metadata   struct{} `json:"metadata"`
	Items      []listed `json:"items"`
}

var invalidInKeys = regexp.MustCompile(`[^-._a-zA-Z0-9]+`)

// key is the name in `ls`, and in the ConfigMap of old versions.
func (f file) key() string {
	name := invalidInKeys.ReplaceAllString(f.name, "_")
	if f.s3 != nil {
		return "s3-" + name
	}
	return "local-" + name
}

// objectName is the name in the cluster: the file, and a hash of where it is.
func (f file) objectName() string {
	sum := sha256.Sum256([]byte(f.node + f.location))
	kind := "local-"
	if f.s3 != nil {
		kind = "s3-"
	}
	return kind + strings.ToLower(f.name) + "-" + hex.EncodeToString(sum[:])[:6]
}

func (f file) listed(p personality.Personality) listed {
	item := listed{Kind: "ETCDSnapshotFile", APIVersion: "k3s.cattle.io/v1"}
	item.Metadata.Name = f.key()
	item.Metadata.Labels = map[string]string{label(p): f.node}
	if f.tokenHash != "" {
		item.Metadata.Annotations = map[string]string{"etcd." + p.Program + ".cattle.io/snapshot-token-hash": f.tokenHash}
	}
	item.Spec.SnapshotName, item.Spec.NodeName, item.Spec.Location, item.Spec.Metadata = f.name, f.node, f.location, f.metadata
	if f.s3 != nil {
		item.Spec.S3 = &listedS3{Endpoint: f.s3.Endpoint, EndpointCA: f.s3.EndpointCA, SkipSSLVerify: f.s3.SkipSSLVerify, Bucket: f.s3.Bucket,
			BucketLookup: f.s3.BucketLookup, Region: f.s3.Region, Prefix: f.s3.Folder, Insecure: f.s3.Insecure}
	}
	item.Status.CreationTime = f.created.UTC().Format(time.RFC3339)
	item.Status.Size = strconv.FormatInt(f.size, 10)
	item.Status.ReadyToUse = f.failure == ""
	if f.failure != "" {
		item.Status.Error = &listedError{Time: f.created.UTC().Format(time.RFC3339), Message: f.failure}
	}
	return item
}

// object is the same for the cluster.
func (f file) object(p personality.Personality) kube.Object {
	item := f.listed(p)
	item.Metadata.Name = f.objectName()
	content, _ := json.Marshal(item)
	var object kube.Object
	json.Unmarshal(content, &object)
	maps.Copy(kube.Child(object, "metadata"), kube.Object{"generation": 1, "finalizers": []any{"wrangler.cattle.io/managed-etcd-snapshots-controller"}})
	return object
}

// timeIn reads the time in a snapshot's name: what follows the last dash.
func timeIn(name string) (time.Time, bool) {
	name = strings.TrimSuffix(filepath.Base(name), ".zip")
	seconds, err := strconv.ParseInt(name[strings.LastIndexByte(name, '-')+1:], 10, 64)
	return time.Unix(seconds, 0), err == nil
}
