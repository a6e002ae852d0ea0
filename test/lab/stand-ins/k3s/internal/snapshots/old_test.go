package snapshots_test

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"

	"lab/stand-ins/k3s/internal/kube"
)

func old(s *server) { s.p.Version = "v1.26.9+k3s1" }

func TestTheOldCommandLineNeedsNoServerAndSaysWhereItSaves(t *testing.T) {
	s := startServer(t, old)
	have := s.runAll("k3s etcd-snapshot save --name o --node-name s1")
	if have.exit != "0" || !regexp.MustCompile(`msg="Saving etcd snapshot to \S+/server/db/snapshots/o-s1-\d{10}"`).MatchString(have.stderr) || saved(have) != 0 {
		t.Errorf("exit %s: %s", have.exit, have.stderr)
	}
	list := s.run("k3s etcd-snapshot ls --node-name s1")
	if !regexp.MustCompile(`^Name +Location +Size +Created\no-s1-\d{10} file:///\S+ \d+ \S+Z$`).MatchString(list.stdout) {
		t.Errorf("%s", list.stdout)
	}
	var byKey map[string]struct{ Name, Location, NodeName, Status string }
	must(t, json.Unmarshal([]byte(s.run("k3s etcd-snapshot ls -o json --node-name s1").stdout), &byKey))
	for key, file := range byKey {
		if key != "local-"+file.Name || file.Status != "successful" {
			t.Errorf("%s: %+v", key, file)
		}
	}
	recorded, err := s.objects.Get(t.Context(), "configmaps", "kube-system", "k3s-etcd-snapshots")
	if err != nil || len(kube.Child(recorded, "data")) != 1 {
		t.Errorf("%v %v", recorded, err)
	}
}

func TestTheOldCommandLineFailsWhenAnUploadFailsAndOnlyWarnsOfABadBucket(t *testing.T) {
	s, _ := withS3(t, old)
	on(t, "upload-fails", "")
	if have := s.runAll("k3s etcd-snapshot save --name o --node-name s1"); have.exit != "1" || !strings.HasSuffix(have.stderr, `level=fatal msg="Access Denied."`) {
		t.Errorf("exit %s: %s", have.exit, have.stderr)
	}
	have := s.runAll("k3s etcd-snapshot save --name p --node-name s1 --etcd-s3-bucket nosuchbucket")
	if have.exit != "0" || !strings.Contains(have.stderr, `level=warning msg="Unable to initialize S3 client: bucket nosuchbucket does not exist"`) {
		t.Errorf("exit %s: %s", have.exit, have.stderr)
	}
}

func TestTheOldCommandLineListsOneStoreAndDeletesByWholeKey(t *testing.T) {
	s, s3 := withS3(t, old)
	s.runAll("k3s etcd-snapshot save --name o --node-name s1")
	list := s.run("k3s etcd-snapshot ls")
	name := regexp.MustCompile(`o-s1-\d{10}`).FindString(list.stdout)
	if !strings.HasPrefix(list.stdout, "Name            Size") || strings.Contains(list.stdout, "file://") || name == "" {
		t.Errorf("%s", list.stdout)
	}
	s.runAll("k3s etcd-snapshot delete " + name)
	if _, err := s3.StatObject(t.Context(), "backups", "cl-a/"+name, minio.StatObjectOptions{}); err != nil {
		t.Error("the bare name removed the object")
	}
	s.runAll("k3s etcd-snapshot delete cl-a/" + name)
	if _, err := s3.StatObject(t.Context(), "backups", "cl-a/"+name, minio.StatObjectOptions{}); err == nil {
		t.Error("the whole key did not")
	}
	if files, _ := os.ReadDir(s.dataDir + "/server/db/snapshots"); len(files) != 0 {
		t.Error(files)
	}
}

func TestTheOldCommandLineWantsAnEtcdDatabase(t *testing.T) {
	s := startServer(t, old)
	have := s.run("k3s etcd-snapshot save --data-dir /tmp/nothing-here")
	if have.exit != "1" || !strings.HasSuffix(have.stderr, `level=fatal msg="etcd database not found in /tmp/nothing-here/server"`) {
		t.Errorf("exit %s: %s", have.exit, have.stderr)
	}
}
