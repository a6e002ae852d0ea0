// The stand-in behaves as the `k3s` or `rke2` binary at every boundary that pulumi-etcd-backup touches, around a real etcd.
// See README.md for what it imitates and what it leaves out.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"lab/stand-ins/k3s/internal/kube"
	"lab/stand-ins/k3s/internal/personality"
	"lab/stand-ins/k3s/internal/server"
	"lab/stand-ins/k3s/internal/snapshots"
)

func main() {
	env := environment()
	// RKE2's etcd and kube-apiserver are processes of their own.
	switch filepath.Base(os.Args[0]) {
	case "etcd":
		os.Exit(server.EtcdPod(os.Args[1:]))
	case "kube-apiserver":
		os.Exit(server.APIServerPod(os.Args[1:]))
	}
	os.Exit(run(personality.Of(os.Args[0]), os.Args[1:], env))
}

func run(p personality.Personality, args []string, env map[string]string) int {
	if len(args) == 0 {
		args = []string{"help"}
	}
	switch command, rest := args[0], args[1:]; command {
	case "server":
		return server.Run(p, rest, env)
	case "agent":
		return server.RunAgent(p, rest, env)
	case "etcd-snapshot":
		return snapshots.CLI(p, rest, env)
	case "kubectl":
		return kube.CLI(p, rest, env)
	case "token":
		return server.Token(p, rest, env)
	case "--version", "-v":
		fmt.Printf("%s version %s (standin0)\ngo version go1.26.8\n", p.Program, p.Version)
		return 0
	default:
		fmt.Printf("NAME:\n   %s - Kubernetes, but small and simple\n\nCOMMANDS:\n   server, agent, etcd-snapshot, kubectl, token\n", p.Program)
		return 0
	}
}

func environment() map[string]string {
	env := map[string]string{}
	for _, pair := range os.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		env[name] = value
	}
	return env
}
