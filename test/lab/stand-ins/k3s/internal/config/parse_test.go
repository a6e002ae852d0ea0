package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"lab/stand-ins/k3s/internal/personality"
)

func k3s(t *testing.T, files map[string]string) personality.Personality {
	t.Helper()
	p := personality.Of("k3s")
	p.Version = "v1.35.4+k3s1"
	folder := t.TempDir()
	p.ConfigFile = filepath.Join(folder, "config.yaml")
	for name, content := range files {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func parse(t *testing.T, p personality.Personality, command string, args ...string) *Options {
	t.Helper()
	options, err := Parse(p, command, args, nil)
	if err != nil {
		t.Fatal(err)
	}
	return options
}

func TestTheLastFileWinsAKeyEntirelyAndPlusAppends(t *testing.T) {
	p := k3s(t, map[string]string{
		"config.yaml":               "tls-san: [a, b]\netcd-arg: [x=1]\ntoken: base\netcd-snapshot-retention: 3\n",
		"config.yaml.d/10-a.yml":    "tls-san: [c]\netcd-arg+: y=2\n",
		"config.yaml.d/20-b.yaml":   "token: \"late\"\n",
		"config.yaml.d/30-note.txt": "token: never\n",
	})
	options := parse(t, p, "server", "--tls-san=d", "--etcd-snapshot-retention=9")
	if !reflect.DeepEqual(options.TLSSan, []string{"c", "d"}) {
		t.Errorf("tls-san: %v", options.TLSSan)
	}
	if !reflect.DeepEqual(options.EtcdArgs, []string{"x=1", "y=2"}) {
		t.Errorf("etcd-arg: %v", options.EtcdArgs)
	}
	if options.Token != "late" || options.Snapshots.Retention != 9 {
		t.Errorf("token %q, retention %d", options.Token, options.Snapshots.Retention)
	}
}

func TestDropInsCountWithoutABaseFileAndMayBeJSON(t *testing.T) {
	p := k3s(t, map[string]string{"config.yaml.d/50-rancher.yaml": `{"etcd-s3": true, "etcd-s3-bucket": "b", "server": ""}`})
	options := parse(t, p, "server")
	if options.S3 == nil || options.S3.Bucket != "b" || options.Server != "" {
		t.Errorf("%+v", options)
	}
}

func TestACommandSkipsWhatOnlyTheServerKnows(t *testing.T) {
	p := k3s(t, map[string]string{"config.yaml": "token: x\netcd-s3: true\netcd-s3-bucket: b\n"})
	options := parse(t, p, "etcd-snapshot save")
	want := []string{"Unknown flag --token found in config.yaml, skipping\n"}
	if !reflect.DeepEqual(options.Warnings, want) || options.S3 == nil || options.Snapshots.Name != "on-demand" {
		t.Errorf("%q %+v", options.Warnings, options)
	}
}

func TestAnUnknownFlagPrintsTheRecordedHelp(t *testing.T) {
	_, err := Parse(k3sAtItsOwnPath(), "etcd-snapshot save", []string{"--no-such-flag"}, nil)
	var usage *UsageError
	if !errors.As(err, &usage) || usage.Message != "flag provided but not defined: -no-such-flag" {
		t.Fatal(err)
	}
	recorded, _ := os.ReadFile("../../testdata/save-unknown-flag.txt")
	have, want := strings.Split(usage.Help, "\n"), strings.Split(string(recorded), "\n")
	for i := range want {
		if i >= len(have) || have[i] != want[i] {
			t.Fatalf("line %d\n have %q\n want %q", i, append(have, "")[i], want[i])
		}
	}
	if len(have) != len(want) {
		t.Errorf("%d lines, recorded %d", len(have), len(want))
	}
}

func k3sAtItsOwnPath() personality.Personality {
	p := personality.Of("k3s")
	p.Version = "v1.35.4+k3s1"
	return p
}

func TestTwoFormsOfOneFlagAreRefused(t *testing.T) {
	p := k3s(t, map[string]string{"config.yaml": "etcd-s3: true\netcd-s3-folder: a\n"})
	for argument, want := range map[string]string{
		"--s3=false":       "Cannot use two forms of the same flag: etcd-s3 s3",
		"--s3-folder=over": "Cannot use two forms of the same flag: etcd-s3-folder s3-folder",
	} {
		if _, err := Parse(p, "etcd-snapshot save", []string{argument}, nil); err == nil || err.Error() != want {
			t.Errorf("%s: %v", argument, err)
		}
	}
	if options := parse(t, p, "etcd-snapshot save", "--etcd-s3=false"); options.S3 != nil {
		t.Error("--etcd-s3=false did not switch S3 off")
	}
}

func TestTheOldVersionDoesNotKnowTheNewFlags(t *testing.T) {
	p := k3s(t, map[string]string{"config.yaml": "etcd-s3: true\netcd-s3-retention: 7\netcd-snapshot-retention: 4\n"})
	p.Version = "v1.26.9+k3s1"
	options := parse(t, p, "server")
	if len(options.Warnings) != 1 || options.S3.Retention != 4 {
		t.Errorf("%q, retention %d", options.Warnings, options.S3.Retention)
	}
	if _, err := Parse(p, "etcd-snapshot save", []string{"--etcd-server=https://127.0.0.1:6443"}, nil); err == nil {
		t.Error("--etcd-server was accepted")
	}
}

func TestTheEnvironmentFillsWhatNothingElseSays(t *testing.T) {
	p := k3s(t, map[string]string{"config.yaml": "node-name: from-file\n"})
	options, err := Parse(p, "server", nil, map[string]string{"K3S_TOKEN": "t", "K3S_URL": "https://s1:6443", "K3S_NODE_NAME": "from-env", "AWS_SECRET_ACCESS_KEY": "s"})
	if err != nil || options.Token != "t" || options.Server != "https://s1:6443" || options.NodeName != "from-file" {
		t.Errorf("%v %+v", err, options)
	}
}

func TestRKE2HasNoClusterInit(t *testing.T) {
	if _, err := Parse(personality.Of("rke2"), "server", []string{"--cluster-init"}, nil); err == nil {
		t.Error("accepted")
	}
}
