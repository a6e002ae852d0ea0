package snapshots

import (
	"archive/zip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"lab/stand-ins/k3s/internal/config"
	"lab/stand-ins/k3s/internal/fault"
	"lab/stand-ins/k3s/internal/log"
)

// folder of the snapshots. Only the default one is made.
func folder(options *config.Options, create bool) (string, error) {
	standard := filepath.Join(options.DataDir, "server", "db", "snapshots")
	dir := options.Snapshots.Dir
	if dir == "" {
		dir = standard
	}
	info, err := os.Stat(dir)
	if os.IsNotExist(err) && create && dir == standard {
		return dir, os.MkdirAll(dir, 0o700)
	}
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is not a directory", dir)
	}
	if err != nil {
		return "", fmt.Errorf("failed to get etcd-snapshot-dir: %w", err)
	}
	return dir, nil
}

// saveLocal streams the database to a file that gets its name when it is whole.
func (m *Manager) saveLocal(ctx context.Context, path string) error {
	if seconds, slow := fault.On("save-slow"); slow {
		wait, _ := strconv.ParseFloat(seconds, 64)
		time.Sleep(time.Duration(wait * float64(time.Second)))
	}
	if message, fails := fault.On("save-fails"); fails {
		return fmt.Errorf("%s", or(message, "could not open snapshot stream"))
	}
	stream, err := m.client.Snapshot(ctx)
	if err != nil {
		return err
	}
	defer stream.Close()
	part := path + ".part"
	out, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("could not open %s (%w)", part, err)
	}
	defer os.Remove(part)
	defer out.Close()
	size, err := io.Copy(out, stream)
	if err != nil {
		return err
	}
	if size%512 != 32 {
		return fmt.Errorf("sha256 checksum not found [bytes: %d]", size)
	}
	if _, short := fault.On("save-short"); short {
		out.Truncate(size / 2)
	}
	if err := out.Sync(); err != nil {
		return err
	}
	return os.Rename(part, path)
}

// compress makes <path>.zip with one deflated entry and removes the original.
func compress(path string, now time.Time) (string, error) {
	log.Infof("Compressing etcd snapshot file: %s", filepath.Base(path))
	defer os.Remove(path)
	in, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return "", err
	}
	out, err := os.Create(path + ".zip")
	if err != nil {
		return "", err
	}
	defer out.Close()
	archive := zip.NewWriter(out)
	header, err := zip.FileInfoHeader(info)
	if err != nil {
		return "", err
	}
	header.Name, header.Method, header.Modified = filepath.Base(path), zip.Deflate, now
	entry, err := archive.CreateHeader(header)
	if err != nil {
		return "", err
	}
	if _, err := io.Copy(entry, in); err != nil {
		return "", err
	}
	log.Infof("Compressed snapshot: %s", path+".zip")
	return path + ".zip", archive.Close()
}

// localFiles lists what lies in the folder. Their order is left open, as it is in K3s.
func (m *Manager) localFiles() ([]file, error) {
	dir, err := folder(m.options, true)
	if err != nil {
		return nil, err
	}
	var files []file
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		created, named := timeIn(entry.Name())
		if !named {
			created = info.ModTime()
		}
		f := file{name: entry.Name(), location: "file://" + filepath.Join(dir, entry.Name()), node: m.node.Name, created: created, size: info.Size()}
		if content, err := os.ReadFile(metadataPath(path)); err == nil {
			json.Unmarshal(content, &f.metadata)
		}
		files = append(files, f)
		return nil
	})
	rand.Shuffle(len(files), func(i, j int) { files[i], files[j] = files[j], files[i] })
	return files, err
}

// localRetention keeps the newest files of a prefix; every name that begins with it counts.
func localRetention(retention int, prefix, dir string) ([]string, error) {
	if retention < 1 {
		return nil, nil
	}
	log.Infof("Applying snapshot retention=%d to local snapshots with prefix %s in %s", retention, prefix, dir)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return e.IsDir() || !strings.HasPrefix(e.Name(), prefix) })
	slices.SortStableFunc(entries, func(a, b fs.DirEntry) int {
		older, _ := timeIn(a.Name())
		newer, _ := timeIn(b.Name())
		return newer.Compare(older)
	})
	var deleted []string
	for _, entry := range entries[min(retention, len(entries)):] {
		path := filepath.Join(dir, entry.Name())
		log.Infof("Removing local snapshot %s", path)
		if err := removeLocal(path); err != nil {
			return deleted, err
		}
		deleted = append(deleted, entry.Name())
	}
	return deleted, nil
}

func removeLocal(path string) error {
	err := os.Remove(path)
	if err == nil || os.IsNotExist(err) {
		os.Remove(metadataPath(path))
	}
	return err
}

// metadataPath is where the extra metadata of a snapshot lies.
func metadataPath(path string) string {
	return filepath.Join(filepath.Dir(path), "..", ".metadata", filepath.Base(path))
}

func saveMetadata(path string, metadata map[string]string) error {
	if metadata == nil {
		return nil
	}
	content, _ := json.Marshal(metadata)
	path = metadataPath(path)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return os.WriteFile(path, content, 0o700)
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
