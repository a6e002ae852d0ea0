package snapshots_test

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"lab/stand-ins/k3s/internal/config"
	"lab/stand-ins/k3s/internal/fault"
	"lab/stand-ins/k3s/internal/kube"
	"lab/stand-ins/k3s/internal/snapshots"
)

const s3Config = `
etcd-s3: true
etcd-s3-endpoint: %
etcd-s3-insecure: true
etcd-s3-bucket: backups
etcd-s3-folder: cl-a
etcd-s3-access-key: labak
etcd-s3-secret-key: labsecretkey
`

// withS3 starts a server and S3, and configures the command line for it.
func withS3(t *testing.T, configure ...func(*server)) (*server, *minio.Client) {
	t.Helper()
	s := startServer(t, configure...)
	s.s3 = startS3(t, "backups")
	must(t, os.WriteFile(s.p.ConfigFile, []byte(strings.Replace(s3Config, "%", s.s3, 1)), 0o600))
	client, err := minio.New(s.s3, &minio.Options{Creds: credentials.NewStaticV4("labak", "labsecretkey", "")})
	must(t, err)
	return s, client
}

func on(t *testing.T, name, parameter string) {
	t.Helper()
	must(t, os.WriteFile(filepath.Join(fault.Folder, name), []byte(parameter), 0o600))
}

func saved(have step) int { return strings.Count(have.stderr, " saved.\"") }

func nameIn(have step) string {
	return regexp.MustCompile(`Snapshot (\S+) saved`).FindStringSubmatch(have.stderr)[1]
}

func TestAnUploadThatFailsExitsWithoutErrorAfterOneLine(t *testing.T) {
	s, _ := withS3(t)
	on(t, "upload-fails", "Object parent already exists as a file.")
	have := s.run("k3s etcd-snapshot save --name upfail")
	if have.exit != "0" || saved(have) != 1 {
		t.Errorf("exit %s: %s", have.exit, have.stderr)
	}
	objects := s.run("k3s kubectl get etcdsnapshotfile -o custom-columns=N:.metadata.name,READY:.status.readyToUse,ERR:.status.error.message")
	s.compare(t, "kubectl", "stdout", objects.stdout, strings.Join([]string{
		"N                                   READY   ERR",
		"local-upfail-s1-1795266957-c47971   true    <none>",
		"s3-upfail-s1-1795266957-ad89f5      false   Object parent already exists as a file.",
	}, "\n"))
}

func TestAnUploadThatLiesSaysBothLinesAndLeavesNoObject(t *testing.T) {
	s, s3 := withS3(t)
	on(t, "upload-lies", "")
	have := s.run("k3s etcd-snapshot save --name lie")
	if have.exit != "0" || saved(have) != 2 {
		t.Errorf("exit %s: %s", have.exit, have.stderr)
	}
	if _, err := s3.StatObject(t.Context(), "backups", "cl-a/"+nameIn(have), minio.StatObjectOptions{}); err == nil {
		t.Error("the object is there")
	}
}

func TestAShortUploadLeavesATruncatedObject(t *testing.T) {
	s, s3 := withS3(t)
	on(t, "upload-short", "")
	have := s.run("k3s etcd-snapshot save --name short")
	local, err := os.Stat(filepath.Join(s.dataDir, "server/db/snapshots", nameIn(have)))
	must(t, err)
	object, err := s3.StatObject(t.Context(), "backups", "cl-a/"+nameIn(have), minio.StatObjectOptions{})
	must(t, err)
	if saved(have) != 2 || object.Size != local.Size()/2 {
		t.Errorf("%d bytes of %d: %s", object.Size, local.Size(), have.stderr)
	}
}

func TestASaveThatFailsPrintsNothingAndExitsWithoutError(t *testing.T) {
	s := startServer(t)
	on(t, "save-fails", "no space left on device")
	if have := s.run("k3s etcd-snapshot save --name none"); have.exit != "0" || have.stderr != "" {
		t.Errorf("exit %s: %s", have.exit, have.stderr)
	}
	failed := s.run("k3s kubectl get etcdsnapshotfile -o jsonpath={.items[0].status.error.message}")
	if failed.stdout != "no space left on device" {
		t.Errorf("%q", failed.stdout)
	}
}

func TestASaveWhileAnotherRunsIsRefusedOverTheServersLog(t *testing.T) {
	s := startServer(t)
	on(t, "save-slow", "1")
	first := make(chan step, 1)
	go func() {
		result := snapshots.CLI(s.p, []string{"save", "--name", "par"}, nil)
		first <- step{exit: map[bool]string{true: "0", false: "1"}[result == 0]}
	}()
	time.Sleep(300 * time.Millisecond)
	second := s.run("k3s etcd-snapshot save --name par")
	if second.exit != "1" || !strings.Contains(second.stderr, "see server log for details: Internal error occurred: etcd-snapshot error ID ") {
		t.Errorf("second: exit %s %s", second.exit, second.stderr)
	}
	if done := <-first; done.exit != "0" {
		t.Error("the first failed")
	}
}

func TestObjectsInS3CarryClusterNodeAndTokenHash(t *testing.T) {
	s, s3 := withS3(t)
	have := s.run("k3s etcd-snapshot save --name meta")
	object, err := s3.StatObject(t.Context(), "backups", "cl-a/"+nameIn(have), minio.StatObjectOptions{})
	must(t, err)
	id, err := s.objects.ClusterID(t.Context())
	must(t, err)
	want := map[string]string{"K3s-Cluster-Id": id, "K3s-Node-Name": "s1", "K3s-Token-Hash": "544ad39d2d5a"}
	for name, value := range want {
		if object.UserMetadata[name] != value {
			t.Errorf("%s: %q, not %q", name, object.UserMetadata[name], value)
		}
	}
	if object.ContentType != "application/octet-stream" {
		t.Error(object.ContentType)
	}
}

func TestTwoFormsOfAFlagAreRefusedAndTheLongOneWorks(t *testing.T) {
	s, _ := withS3(t)
	refused := s.run("k3s etcd-snapshot save --name cfg --s3=false")
	if refused.exit != "1" || !strings.HasSuffix(refused.stderr, `level=fatal msg="Cannot use two forms of the same flag: etcd-s3 s3"`) ||
		!strings.HasPrefix(refused.stdout, "Incorrect Usage: Cannot use two forms") {
		t.Errorf("exit %s: %s", refused.exit, refused.stderr)
	}
	if local := s.run("k3s etcd-snapshot save --name cfg2 --etcd-s3=false"); saved(local) != 1 || local.exit != "0" {
		t.Errorf("%s", local.stderr)
	}
}

func TestTheConfigurationSecretIsUsedAloneAndNeverPrunes(t *testing.T) {
	s, s3 := withS3(t)
	must(t, os.WriteFile(s.p.ConfigFile, []byte("etcd-s3: true\netcd-s3-config-secret: keys\n"), 0o600))
	missing := s.run("k3s etcd-snapshot save --name sec")
	if missing.exit != "1" || !strings.Contains(missing.stderr, `failed to initialize S3 client: failed to get config from etcd-s3-config-secret`) {
		t.Errorf("%s", missing.stderr)
	}
	data := kube.Object{}
	for name, value := range map[string]string{"endpoint": s.s3, "insecure": "true", "bucket": "backups", "folder": "sec", "access-key": "labak", "secret-key": "labsecretkey"} {
		data["etcd-s3-"+name] = base64.StdEncoding.EncodeToString([]byte(value))
	}
	must(t, s.objects.Create(t.Context(), "secrets", kube.Object{"metadata": kube.Object{"name": "keys", "namespace": "kube-system"}, "data": data}))
	for range 2 {
		if have := s.run("k3s etcd-snapshot save --name sec"); saved(have) != 2 {
			t.Fatalf("%s", have.stderr)
		}
		time.Sleep(1050 * time.Millisecond)
	}
	s.run("k3s etcd-snapshot prune --name sec --snapshot-retention 1")
	count := 0
	for range s3.ListObjects(t.Context(), "backups", minio.ListObjectsOptions{Prefix: "sec/", Recursive: true}) {
		count++
	}
	if count != 2 {
		t.Errorf("%d objects", count)
	}
}

func TestRetentionTakesEveryNameThatBeginsAlikeAndInS3EveryNode(t *testing.T) {
	s, s3 := withS3(t)
	s.run("k3s etcd-snapshot save --name etcd-snapshot-pre-upgrade")
	_, err := s3.PutObject(t.Context(), "backups", "cl-a/etcd-snapshot-s2-1700000000", strings.NewReader("x"), 1, minio.PutObjectOptions{})
	must(t, err)
	time.Sleep(1050 * time.Millisecond)
	s.run("k3s etcd-snapshot save --name etcd-snapshot")
	s.run("k3s etcd-snapshot prune --name etcd-snapshot --snapshot-retention 1")
	have := s.run("k3s etcd-snapshot ls")
	if lines := strings.Count(have.stdout, "\n"); lines != 2 || strings.Contains(have.stdout, "pre-upgrade") || strings.Contains(have.stdout, "-s2-") {
		t.Errorf("%s", have.stdout)
	}
}

func TestAListedFolderIsAPrefix(t *testing.T) {
	s, s3 := withS3(t)
	_, err := s3.PutObject(t.Context(), "backups", "cl-another/other-s9-1700000000", strings.NewReader("x"), 1, minio.PutObjectOptions{})
	must(t, err)
	if have := s.run("k3s etcd-snapshot ls"); !strings.Contains(have.stdout, "s3://backups/cl-another/other-s9-1700000000") {
		t.Errorf("%s", have.stdout)
	}
}

func TestASignalRunsTheScheduledRoundNow(t *testing.T) {
	s := startServer(t)
	s.options.Snapshots.Retention = 1
	must(t, s.manager.StartSchedule(t.Context()))
	s.run("k3s etcd-snapshot save --name etcd-snapshot-pre-upgrade")
	time.Sleep(1050 * time.Millisecond)
	must(t, syscall.Kill(os.Getpid(), syscall.SIGUSR1))
	deadline := time.Now().Add(5 * time.Second)
	for {
		files, _ := os.ReadDir(filepath.Join(s.dataDir, "server/db/snapshots"))
		if len(files) == 1 && regexp.MustCompile(`^etcd-snapshot-s1-\d+$`).MatchString(files[0].Name()) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(files)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func TestTheFolderOfARequestWinsOverTheServersOwn(t *testing.T) {
	s := startServer(t)
	s.options.Snapshots.Dir = t.TempDir()
	have := s.run("k3s etcd-snapshot save --name here")
	if _, err := os.Stat(filepath.Join(s.dataDir, "server/db/snapshots", nameIn(have))); err != nil {
		t.Error(err)
	}
}

func TestARestoreDownloadsFromS3AndRefusesASecret(t *testing.T) {
	s, _ := withS3(t)
	have := s.run("k3s etcd-snapshot save --name dl")
	path := filepath.Join(s.dataDir, "server/db/snapshots", nameIn(have))
	must(t, os.Remove(path))
	options, err := config.Parse(s.p, "server", nil, nil)
	must(t, err)
	got, err := snapshots.Download(t.Context(), options, nameIn(have))
	if info, _ := os.Stat(path); err != nil || got != path || info == nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%s %v", got, err)
	}
	if _, err := snapshots.Download(t.Context(), options, "nosuch"); err == nil || err.Error() != "failed to download snapshot from S3: The specified key does not exist." {
		t.Error(err)
	}
	options, err = config.Parse(s.p, "server", []string{"--config=/nonexistent", "--etcd-s3", "--etcd-s3-config-secret=foo"}, nil)
	must(t, err)
	if _, err := snapshots.Download(t.Context(), options, "x"); err == nil || !strings.HasPrefix(err.Error(), "cannot use S3 config secret when restoring snapshot") {
		t.Error(err)
	}
}

func TestTheTimeInANameIsRoundedAndMayLieAhead(t *testing.T) {
	s := startServer(t)
	// Into the second half of a second.
	time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(1550 * time.Millisecond)))
	before := time.Now()
	have := s.run("k3s etcd-snapshot save --name ahead")
	var seconds int64
	fmt.Sscanf(nameIn(have), "ahead-s1-%d", &seconds)
	if !time.Unix(seconds, 0).After(before) {
		t.Errorf("%d is not after %s", seconds, before)
	}
}

func TestExtraMetadataLiesBesideTheSnapshotHereAndInS3(t *testing.T) {
	s, s3 := withS3(t)
	s.run("k3s kubectl create configmap k3s-etcd-snapshot-extra-metadata -n kube-system --from-literal=team=blue")
	have := s.run("k3s etcd-snapshot save --name extra")
	content, err := os.ReadFile(filepath.Join(s.dataDir, "server/db/.metadata", nameIn(have)))
	if string(content) != `{"team":"blue"}` {
		t.Errorf("%s %v", content, err)
	}
	if _, err := s3.StatObject(t.Context(), "backups", "cl-a/.metadata/"+nameIn(have), minio.StatObjectOptions{}); err != nil {
		t.Error(err)
	}
	if list := s.run("k3s etcd-snapshot ls"); strings.Count(list.stdout, "\n") != 2 {
		t.Errorf("the metadata counts as a snapshot: %s", list.stdout)
	}
}

func TestObjectsOfFilesAndOfNodesThatAreGoneGoToo(t *testing.T) {
	s := startServer(t)
	must(t, s.objects.UpsertNode(t.Context(), kube.Node{Name: "s2"}))
	for name, node := range map[string]string{"local-a-s2-1": "s2", "local-b-s9-1": "s9", "local-c-s1-1": "s1"} {
		must(t, s.objects.Create(t.Context(), "etcdsnapshotfiles", kube.Object{"metadata": kube.Object{"name": name}, "spec": kube.Object{"nodeName": node}}))
	}
	must(t, os.MkdirAll(filepath.Join(s.dataDir, "server/db/snapshots"), 0o700))
	must(t, os.WriteFile(filepath.Join(s.dataDir, "server/db/snapshots/found-s1-1700000000"), nil, 0o600))
	s.manager.Reconcile(t.Context())
	have := s.run("k3s kubectl get etcdsnapshotfile -o jsonpath={.items[*].metadata.name}")
	if !regexp.MustCompile(`^local-a-s2-1 local-found-s1-1700000000-[0-9a-f]{6}$`).MatchString(have.stdout) {
		t.Error(have.stdout)
	}
}

func TestScheduledRoundsKeepSoManyHereAndSoManyInS3(t *testing.T) {
	s, s3 := withS3(t)
	options, err := config.Parse(s.p, "server", []string{"--node-name=s1", "--etcd-snapshot-retention=1", "--etcd-s3-retention=2"}, nil)
	must(t, err)
	*s.options = *options
	must(t, s.manager.StartSchedule(t.Context()))
	kept := func() (here, there int) {
		files, _ := os.ReadDir(filepath.Join(s.dataDir, "server/db/snapshots"))
		for range s3.ListObjects(t.Context(), "backups", minio.ListObjectsOptions{Prefix: "cl-a/", Recursive: true}) {
			there++
		}
		return len(files), there
	}
	for round := 1; round <= 3; round++ {
		must(t, syscall.Kill(os.Getpid(), syscall.SIGUSR1))
		time.Sleep(1500 * time.Millisecond)
		if here, there := kept(); here != 1 || there != min(round, 2) {
			t.Errorf("round %d: %d here, %d in S3", round, here, there)
		}
	}
}
