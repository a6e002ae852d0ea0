package snapshots

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"lab/stand-ins/k3s/internal/kube"
	"lab/stand-ins/k3s/internal/log"
)

// record writes one snapshot into the cluster, where the server's Node exists. Failing to is not fatal.
func (m *Manager) record(ctx context.Context, f file) {
	if _, err := m.node.Objects.Get(ctx, "nodes", "", m.node.Name); err != nil {
		return
	}
	if m.node.Personality.Old() {
		m.recordInConfigMap(ctx, f)
		return
	}
	object := f.object(m.node.Personality)
	err := m.node.Objects.Create(ctx, "etcdsnapshotfiles", object)
	if errors.Is(err, kube.ErrExists) {
		err = m.node.Objects.Put(ctx, "etcdsnapshotfiles", object)
	}
	if err != nil {
		log.Warnf("Failed to sync ETCDSnapshotFile: %v", err)
	}
}

// Reconcile makes the ETCDSnapshotFile objects agree with the files on disk and in S3; the server calls it once when it is up.
func (m *Manager) Reconcile(ctx context.Context) { m.reconcile(ctx, &Result{}) }

// reconcile removes objects of what is gone, except failures of the last day and uploads of the last minute, and creates those that are missing.
func (m *Manager) reconcile(ctx context.Context, result *Result) {
	if m.node.Personality.Old() {
		m.reconcileConfigMap(ctx)
		return
	}
	if _, err := m.node.Objects.Get(ctx, "nodes", "", m.node.Name); err != nil {
		return
	}
	log.Infof("Reconciling ETCDSnapshotFile resources")
	defer log.Infof("Reconciliation of ETCDSnapshotFile resources complete")
	files, err := m.files(ctx)
	if err != nil {
		log.Warnf("Unable to reconcile snapshots: %v", err)
		return
	}
	objects, err := m.node.Objects.List(ctx, "etcdsnapshotfiles", "")
	if err != nil {
		log.Errorf("Failed to list ETCDSnapshotFiles: %v", err)
		return
	}
	missing := map[string]file{}
	for _, f := range files {
		missing[f.objectName()] = f
	}
	for _, object := range objects {
		name := kube.Text(object, "metadata", "name")
		if _, found := missing[name]; found {
			delete(missing, name)
		} else if m.isGone(ctx, object, result) {
			log.Infof("Deleting ETCDSnapshotFile for %s", kube.Text(object, "spec", "snapshotName"))
			m.node.Objects.Delete(ctx, "etcdsnapshotfiles", "", name)
		}
	}
	for _, f := range missing {
		log.Infof("Creating ETCDSnapshotFile for %s", f.name)
		m.record(ctx, f)
	}
	stamps := map[string]string{"local-snapshots-timestamp": time.Now().UTC().Format(time.RFC3339)}
	if m.options.S3 != nil {
		stamps["s3-snapshots-timestamp"] = stamps["local-snapshots-timestamp"]
	}
	m.node.Objects.Annotate(ctx, m.node.Name, stamps)
}

// isGone is asked of an object for which this server found no file.
func (m *Manager) isGone(ctx context.Context, object kube.Object, result *Result) bool {
	storage := kube.Text(object, "spec", "nodeName")
	if storage != m.node.Name && storage != "s3" {
		_, err := m.node.Objects.Get(ctx, "nodes", "", storage)
		return errors.Is(err, kube.ErrNotFound)
	}
	if storage == "s3" && m.options.S3 == nil {
		return false
	}
	if slices.Contains(result.Deleted, kube.Text(object, "spec", "snapshotName")) {
		return true
	}
	if failed, err := time.Parse(time.RFC3339, kube.Text(object, "status", "error", "time")); err == nil {
		return time.Since(failed) > 24*time.Hour
	}
	made, err := time.Parse(time.RFC3339, kube.Text(object, "metadata", "creationTimestamp"))
	return storage != "s3" || err != nil || time.Since(made) > time.Minute
}

// extraMetadata is what the ConfigMap <prog>-etcd-snapshot-extra-metadata holds; nil without one.
func (m *Manager) extraMetadata(ctx context.Context) map[string]string {
	object, err := m.node.Objects.Get(ctx, "configmaps", "kube-system", m.node.Personality.Program+"-etcd-snapshot-extra-metadata")
	if err != nil {
		return nil
	}
	metadata := map[string]string{}
	for name := range kube.Child(object, "data") {
		metadata[name] = kube.Text(object, "data", name)
	}
	return metadata
}

// oldFile is how versions before November 2023 write a snapshot, in their ConfigMap and in `ls -o json`.
type oldFile struct {
	Name       string     `json:"name"`
	Location   string     `json:"location,omitempty"`
	Metadata   string     `json:"metadata,omitempty"`
	Message    string     `json:"message,omitempty"`
	NodeName   string     `json:"nodeName,omitempty"`
	CreatedAt  time.Time  `json:"createdAt,omitempty"`
	Size       int64      `json:"size,omitempty"`
	Status     string     `json:"status,omitempty"`
	S3         *oldFileS3 `json:"s3Config,omitempty"`
	Compressed bool       `json:"compressed"`
}

type oldFileS3 struct {
	Endpoint      string `json:"endpoint,omitempty"`
	EndpointCA    string `json:"endpointCA,omitempty"`
	SkipSSLVerify bool   `json:"skipSSLVerify,omitempty"`
	Bucket        string `json:"bucket,omitempty"`
	Region        string `json:"region,omitempty"`
	Folder        string `json:"folder,omitempty"`
	Insecure      bool   `json:"insecure,omitempty"`
}

func (f file) old() oldFile {
	o := oldFile{Name: f.name, Location: f.location, NodeName: f.node, CreatedAt: f.created.UTC().Truncate(time.Second), Size: f.size, Status: "successful", Compressed: len(f.name) > 4 && f.name[len(f.name)-4:] == ".zip"}
	if f.failure != "" {
		o.Status, o.Message = "failed", base64.StdEncoding.EncodeToString([]byte(f.failure))
	}
	if f.s3 != nil {
		o.S3 = &oldFileS3{Endpoint: f.s3.Endpoint, EndpointCA: f.s3.EndpointCA, SkipSSLVerify: f.s3.SkipSSLVerify, Bucket: f.s3.Bucket, Region: f.s3.Region, Folder: f.s3.Folder, Insecure: f.s3.Insecure}
	}
	return o
}

// recordInConfigMap is what versions before November 2023 do instead.
func (m *Manager) recordInConfigMap(ctx context.Context, f file) {
	m.changeConfigMap(ctx, func(data kube.Object) {
		content, _ := json.Marshal(f.old())
		data[f.key()] = string(content)
	})
}

func (m *Manager) reconcileConfigMap(ctx context.Context) {
	name := m.node.Personality.Program + "-etcd-snapshots"
	log.Infof("Reconciling etcd snapshot data in %s ConfigMap", name)
	defer log.Infof("Reconciliation of snapshot data in %s ConfigMap complete", name)
	files, err := m.files(ctx)
	if err != nil {
		log.Warnf("Unable to reconcile snapshots: %v", err)
		return
	}
	m.changeConfigMap(ctx, func(data kube.Object) {
		for key, value := range data {
			var known oldFile
			json.Unmarshal([]byte(value.(string)), &known)
			if known.Status == "successful" && (known.NodeName == m.node.Name || known.NodeName == "s3" && m.options.S3 != nil) {
				delete(data, key)
			}
		}
		for _, f := range files {
			content, _ := json.Marshal(f.old())
			data[f.key()] = string(content)
		}
	})
}

func (m *Manager) changeConfigMap(ctx context.Context, change func(data kube.Object)) {
	name := m.node.Personality.Program + "-etcd-snapshots"
	err := m.node.Objects.Create(ctx, "configmaps", kube.Object{"metadata": kube.Object{"name": name, "namespace": "kube-system"}})
	if err == nil || errors.Is(err, kube.ErrExists) {
		_, err = m.node.Objects.Change(ctx, "configmaps", "kube-system", name, func(object kube.Object) { change(kube.Child(object, "data")) })
	}
	if err != nil {
		log.Errorf("Failed to write ConfigMap %s: %v", name, err)
	}
}
