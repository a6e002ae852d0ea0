package server

import (
	"os"
	"path/filepath"
	"testing"
)

func TestKeyOfTheBootstrapDataIsTheRecordedOne(t *testing.T) {
	full := parseToken("K10" + "ab" + "::server:labtoken1\n")
	if full.password != "labtoken1" || full.caHash != "ab" {
		t.Fatalf("parsed %+v", full)
	}
	if key := bootstrapKey(full.password); key != "/bootstrap/544ad39d2d5a" {
		t.Fatalf("key %s", key)
	}
	if bare := parseToken("labtoken1"); bare.password != "labtoken1" {
		t.Fatalf("parsed %+v", bare)
	}
}

func TestBootstrapDataOpensWithItsTokenOnly(t *testing.T) {
	sealed, err := encrypt("right", []byte("data"))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := decrypt("right", sealed); err != nil || string(plain) != "data" {
		t.Fatalf("%q, %v", plain, err)
	}
	if _, err := decrypt("wrong", sealed); err == nil {
		t.Fatal("opened with a wrong token")
	}
}

func TestFiveFoldersStaySetAside(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "etcd")
	for _, suffix := range []string{"", "-backup-1", "-backup-2", "-backup-3", "-backup-4", "-backup-5"} {
		if err := os.Mkdir(folder+suffix, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := setAside(folder); err != nil {
		t.Fatal(err)
	}
	kept, _ := filepath.Glob(folder + "*")
	if len(kept) != 5 || exists(folder) || exists(folder+"-backup-1") || !exists(folder+"-backup-2") {
		t.Fatalf("kept %v", kept)
	}
}
