package snapshots_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"lab/stand-ins/k3s/internal/kube"
	"lab/stand-ins/k3s/internal/log"
	"lab/stand-ins/k3s/internal/snapshots"
)

// step is one recorded command with what it wrote.
type step struct{ command, stdout, stderr, exit string }

func recorded(t *testing.T, name string) []step {
	t.Helper()
	content, err := os.ReadFile("../../testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var steps []step
	for _, block := range regexp.MustCompile(`(?s)s1\$ (.*?)\n(.*?)--- exit (\d+)\n`).FindAllStringSubmatch(string(content), -1) {
		stdout, stderr := "", ""
		for part := range strings.SplitSeq("\n"+block[2], "\n--- ") {
			if text, found := strings.CutPrefix(part, "stdout\n"); found {
				stdout = strings.TrimSuffix(text, "\n")
			} else if text, found := strings.CutPrefix(part, "stderr\n"); found {
				stderr = strings.TrimSuffix(text, "\n")
			}
		}
		steps = append(steps, step{block[1], stdout, stderr, block[3]})
	}
	return steps
}

// replay runs every recorded command and compares line by line.
func (s *server) replay(t *testing.T, steps []step) {
	t.Helper()
	renamed := map[string]string{}
	for _, want := range steps {
		command := want.command
		for old, now := range renamed {
			command = strings.ReplaceAll(command, old, now)
		}
		have := s.run(strings.ReplaceAll(command, "127.0.0.1:7070", s.s3))
		if strings.Contains(command, " save ") && have.exit == "0" {
			time.Sleep(1050 * time.Millisecond)
		}
		learn(renamed, want.stdout+want.stderr, have.stdout+have.stderr)
		s.compare(t, command, "stdout", have.stdout, want.stdout)
		s.compare(t, command, "stderr", have.stderr, want.stderr)
		if have.exit != want.exit {
			t.Errorf("%s: exit %s, recorded %s", command, have.exit, want.exit)
		}
	}
}

var snapshotName = regexp.MustCompile(`[a-z0-9]+-s1-\d{10}(\.zip)?`)

// learn pairs the recorded names of snapshots with ours, in the order in which they appear.
func learn(renamed map[string]string, want, have string) {
	ours := snapshotName.FindAllString(have, -1)
	for i, name := range snapshotName.FindAllString(want, -1) {
		if i < len(ours) {
			renamed[name] = ours[i]
		}
	}
}

var changing = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`), "<time>"},
	{regexp.MustCompile(`-s1-\d{10}`), "-s1-<seconds>"},
	{regexp.MustCompile(`(s1-<seconds>(?:\.zip)?)-[0-9a-f]{6}`), "$1-<hash>"},
	{regexp.MustCompile(`s1-[0-9a-f]{8}`), "s1-<member>"},
	{regexp.MustCompile(`\b\d{6}\b`), "<6 bytes>"},
	{regexp.MustCompile(`\b\d{7}\b`), "<7  bytes>"},
	{regexp.MustCompile(`error ID \d{5}`), "error ID <id>"},
	{regexp.MustCompile(`uid: .*`), "uid: <uid>"},
	{regexp.MustCompile(`resourceVersion: "\d+"`), `resourceVersion: "<n>"`},
	{regexp.MustCompile(`message: .*kubelet.*`), "message: <no kubelet>"},
	{regexp.MustCompile(`"size": "\d+"`), `"size": "<bytes>"`},
}

func (s *server) compare(t *testing.T, command, stream, have, want string) {
	t.Helper()
	clean := func(text string) []string {
		text = strings.NewReplacer(s.dataDir, "/var/lib/rancher/k3s", s.s3, "127.0.0.1:7070").Replace(text)
		for _, change := range changing {
			text = change.pattern.ReplaceAllString(text, change.with)
		}
		return strings.Split(text, "\n")
	}
	ours, theirs := clean(have), clean(want)
	for i := range max(len(ours), len(theirs)) {
		line := func(lines []string) string {
			if i < len(lines) {
				return lines[i]
			}
			return "(no such line)"
		}
		if line(ours) != line(theirs) {
			t.Errorf("%s: %s, line %d\n     ours: %s\n recorded: %s", command, stream, i+1, line(ours), line(theirs))
		}
	}
}

// run takes a command as it was typed. Of the lines that the log got meanwhile it keeps those of the command.
func (s *server) run(command string) step {
	have := s.runAll(command)
	have.stderr = onlyTheCommand(have.stderr)
	return have
}

// runAll keeps all lines: the old command lines do everything themselves.
func (s *server) runAll(command string) step {
	words := strings.Fields(command)
	var stdout, stderr, lines bytes.Buffer
	log.SetOutput(&lines)
	realOut, realErr := os.Stdout, os.Stderr
	outEnd := captured(&stdout, &os.Stdout)
	errEnd := captured(&stderr, &os.Stderr)
	exit := 0
	switch words[1] {
	case "etcd-snapshot":
		exit = snapshots.CLI(s.p, words[2:], nil)
	case "kubectl":
		exit = kube.CLI(s.p, words[2:], map[string]string{"KUBECONFIG": s.kubeconfig})
	}
	outEnd()
	errEnd()
	os.Stdout, os.Stderr = realOut, realErr
	log.SetOutput(s.serverLog)
	return step{command, strings.TrimSuffix(stdout.String(), "\n"), strings.TrimSuffix(stderr.String()+lines.String(), "\n"), fmt.Sprint(exit)}
}

// onlyTheCommand drops what the server, which lives in the same process, logged meanwhile.
func onlyTheCommand(lines string) string {
	var kept strings.Builder
	for line := range strings.SplitAfterSeq(lines, "\n") {
		if !strings.HasPrefix(line, "time=") || strings.Contains(line, "level=fatal") || ofCommand.MatchString(line) {
			kept.WriteString(line)
		}
	}
	return strings.TrimSuffix(kept.String(), "\n")
}

var ofCommand = regexp.MustCompile(`msg="(Snapshot \S+ (saved|deleted|not found)\.|Unknown flag|Cluster CA certificate)`)

func captured(into io.Writer, stream **os.File) func() {
	read, write, _ := os.Pipe()
	done := make(chan struct{})
	go func() { io.Copy(into, read); close(done) }()
	*stream = write
	return func() { write.Close(); <-done }
}

func TestOneServerAsRecorded(t *testing.T) {
	s := startServer(t)
	s.fill(t, 250_000, 0)
	s.replay(t, recorded(t, "one-server.txt"))
}

func TestS3AsRecorded(t *testing.T) {
	s := startServer(t)
	s.fill(t, 1_000_000, 120_000)
	s.s3 = startS3(t, "backups")
	s.replay(t, recorded(t, "s3.txt"))
}
