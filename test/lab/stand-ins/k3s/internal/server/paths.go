package server

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"
)

// paths of a data directory: /var/lib/rancher/k3s or wherever it was moved.
type paths string

func (d paths) data(parts ...string) string {
	return filepath.Join(append([]string{string(d)}, parts...)...)
}
func (d paths) server(parts ...string) string {
	return d.data(append([]string{"server"}, parts...)...)
}
func (d paths) token() string { return d.server("token") }
func (d paths) tls(parts ...string) string {
	return d.server(append([]string{"tls"}, parts...)...)
}
func (d paths) etcd(parts ...string) string {
	return d.server(append([]string{"db", "etcd"}, parts...)...)
}
func (d paths) resetFlag() string { return d.server("db", "reset-flag") }

// initialized says that etcd has run here.
func (d paths) initialized() bool { return exists(d.etcd("member", "wal")) }

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// create makes the folders that the distributions make, with their modes.
func (d paths) create() error {
	for _, folder := range []string{d.data("agent"), d.server("cred"), d.server("db"), d.server("etc"), d.tls("etcd")} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return err
		}
	}
	return nil
}

// setAside renames a folder to <folder>-backup-<unix> and keeps five of those.
func setAside(folder string) error {
	if err := os.Rename(folder, fmt.Sprintf("%s-backup-%d", folder, time.Now().Unix())); err != nil {
		return err
	}
	kept, err := filepath.Glob(folder + "-backup-*")
	if err != nil {
		return err
	}
	sort.Strings(kept)
	for _, old := range kept[:max(0, len(kept)-5)] {
		if err := os.RemoveAll(old); err != nil {
			return err
		}
	}
	return nil
}

// copyFolder copies files and folders with their modes.
func copyFolder(from, to string) error {
	return filepath.Walk(from, func(path string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		target := to + strings.TrimPrefix(path, from)
		if info.IsDir() {
			return os.MkdirAll(target, info.Mode().Perm())
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, content, info.Mode().Perm())
	})
}
