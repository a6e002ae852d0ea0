package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"lab/stand-ins/k3s/internal/kube"
	"lab/stand-ins/k3s/internal/log"
	"lab/stand-ins/k3s/internal/personality"
)

// pods stands for RKE2's kubelet and containerd: etcd and kube-apiserver are processes of their own, which
// live on when the server stops, and are found again when it starts.
type pods struct {
	dir paths
	p   personality.Personality
	ctx context.Context
}

const podRecords = "/run/stand-in-pods"

// startEtcd leaves an etcd alone that runs with the same configuration, and replaces another.
func (k *pods) startEtcd(config string) error {
	content, err := os.ReadFile(config)
	if err != nil {
		return err
	}
	return k.keep("etcd", content, "--config-file="+config)
}

func (k *pods) startAPIServer() error {
	authority, err := os.ReadFile(k.dir.tls("server-ca.crt"))
	if err != nil {
		return err
	}
	port := strconv.Itoa(k.p.APIServerPort())
	if err := k.keep("kube-apiserver", authority, "--data-dir="+string(k.dir), "--secure-port="+port); err != nil {
		return err
	}
	log.Infof("Waiting for API server to become available")
	for k.ctx.Err() == nil {
		if connection, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
			return connection.Close()
		}
		time.Sleep(50 * time.Millisecond)
	}
	return k.ctx.Err()
}

// keep starts a pod unless the same runs already, and starts it again when it ends, as long as this process lives.
func (k *pods) keep(name string, spec []byte, args ...string) error {
	program := k.program(name)
	if err := k.install(program); err != nil {
		return err
	}
	manifest := k.dir.data("agent", "pod-manifests", name+".yaml")
	if err := os.MkdirAll(filepath.Dir(manifest), 0o700); err != nil {
		return err
	}
	spec = fmt.Appendf(nil, "# stand-in\napiVersion: v1\nkind: Pod\nmetadata:\n  name: %s\n  namespace: kube-system\n  annotations:\n    spec-hash: %x\nspec:\n  containers:\n  - name: %s\n    args: [%s]\n",
		name, sha256.Sum256(spec), name, strings.Join(args, ", "))
	before, _ := os.ReadFile(manifest)
	pid := k.running(name)
	if pid != 0 && !bytes.Equal(before, spec) {
		k.end(name)
		pid = 0
	}
	if err := os.WriteFile(manifest, spec, 0o600); err != nil {
		return err
	}
	go func() {
		for k.ctx.Err() == nil {
			if k.running(name) == 0 {
				if err := k.start(name, program, args); err != nil {
					log.Errorf("pod %s: %s", name, err)
				}
			}
			time.Sleep(time.Second)
		}
	}()
	return nil
}

func (k *pods) start(name, program string, args []string) error {
	if err := os.MkdirAll(podRecords, 0o755); err != nil {
		return err
	}
	folder := "/var/log/pods"
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	output, err := os.OpenFile(filepath.Join(folder, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	defer output.Close()
	command := exec.Command(program, args...)
	command.Stdout, command.Stderr, command.Dir = output, output, "/"
	command.Env = []string{"PATH=" + os.Getenv("PATH")}
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := command.Start(); err != nil {
		return err
	}
	moveToPods(command.Process.Pid)
	go func() { _ = command.Wait() }()
	return os.WriteFile(filepath.Join(podRecords, name+".pid"), []byte(strconv.Itoa(command.Process.Pid)), 0o644)
}

// moveToPods takes a process out of the cgroup of the unit that started it, as containerd does. Which of the folders there are depends on the kernel's set-up.
func moveToPods(pid int) {
	for _, root := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"} {
		folder := filepath.Join(root, "kubepods")
		if exists(filepath.Join(root, "cgroup.procs")) && (exists(folder) || os.Mkdir(folder, 0o755) == nil) {
			_ = os.WriteFile(filepath.Join(folder, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0o644)
		}
	}
}

// end kills a pod.
func (k *pods) end(name string) {
	for pid := k.running(name); pid != 0; pid = k.running(name) {
		_ = syscall.Kill(pid, syscall.SIGKILL)
		time.Sleep(20 * time.Millisecond)
	}
}

// endAll does what the server does after a restore, or when it joins again: it begins without old pods.
func (k *pods) endAll() {
	log.Infof("Removing static pods of the previous run")
	for _, name := range []string{"etcd", "kube-apiserver"} {
		_ = os.Remove(k.dir.data("agent", "pod-manifests", name+".yaml"))
		k.end(name)
	}
}

// running is the pod's process, 0 without one.
func (k *pods) running(name string) int {
	content, err := os.ReadFile(filepath.Join(podRecords, name+".pid"))
	if err != nil {
		return 0
	}
	pid, _ := strconv.Atoi(string(content))
	arguments, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || !strings.HasPrefix(string(arguments), k.program(name)+"\x00") {
		return 0
	}
	return pid
}

// program is where containerd would have unpacked the image: below the data directory, by which rke2-killall.sh finds its processes.
func (k *pods) program(name string) string { return k.dir.data("data", k.p.Version, "bin", name) }

func (k *pods) install(program string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(program), 0o755); err != nil {
		return err
	}
	if err := os.Symlink(self, program); err != nil && !os.IsExist(err) {
		return err
	}
	return nil
}

// installKubectl puts kubectl where RKE2 has it.
func (k *pods) installKubectl() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(k.dir.data("bin"), 0o755); err != nil {
		return err
	}
	script := fmt.Sprintf("#!/bin/sh\nexec %s kubectl \"$@\"\n", self)
	return os.WriteFile(k.dir.data("bin", "kubectl"), []byte(script), 0o755)
}

// EtcdPod is the process `etcd --config-file=…`.
func EtcdPod(args []string) int {
	flags := flag.NewFlagSet("etcd", flag.ContinueOnError)
	config := flags.String("config-file", "", "")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	stop, err := runEtcd(*config)
	if err != nil {
		return log.Fatalf("%s", err)
	}
	<-terminated()
	stop()
	return 0
}

// APIServerPod is the process `kube-apiserver --data-dir=…`.
func APIServerPod(args []string) int {
	flags := flag.NewFlagSet("kube-apiserver", flag.ContinueOnError)
	data := flags.String("data-dir", "", "")
	port := flags.Int("secure-port", 6443, "")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	dir := paths(*data)
	client, err := dir.connect(context.Background(), "https://127.0.0.1:2379")
	if err != nil {
		return log.Fatalf("%s", err)
	}
	handler := authenticated(kube.New(client, personality.Of("rke2")).Handler())
	config, err := dir.servingTLS()
	if err != nil {
		return log.Fatalf("%s", err)
	}
	listener, err := tls.Listen("tcp", fmt.Sprintf(":%d", *port), config)
	if err != nil {
		return log.Fatalf("%s", err)
	}
	go func() { _ = http.Serve(listener, handler) }()
	<-terminated()
	return 0
}

func terminated() <-chan os.Signal {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	return signals
}
