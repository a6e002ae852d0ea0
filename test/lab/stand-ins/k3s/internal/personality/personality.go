// Package personality says which distribution, of which version, this process imitates.
package personality

import (
	"os"
	"path/filepath"
	"strings"
)

// VersionFile on a machine names the version to imitate, such as v1.26.9+k3s1.
const VersionFile = "/etc/stand-in-version"

// Personality holds the names, paths and ports in which K3s and RKE2 differ.
type Personality struct {
	// Program is k3s or rke2: in file names, labels, annotations and messages.
	Program string
	// Version as `--version` prints it: v1.35.4+k3s1.
	Version string
	// EnvPrefix of environment variables: K3S or RKE2.
	EnvPrefix string
	// DataDir is the default data directory.
	DataDir string
	// ConfigFile is the default configuration file; its drop-ins are in ConfigFile + ".d".
	ConfigFile string
	// Kubeconfig is written for the administrator.
	Kubeconfig string
	// SupervisorPort serves /cacerts, /db/snapshot and the join; on K3s also the apiserver.
	SupervisorPort int
	// StaticPods: etcd and kube-apiserver are processes of their own, which outlive the server.
	StaticPods bool
}

// Old says that this is the version before the changes of October 2023 to 2025 (1.26.9).
func (p Personality) Old() bool { return strings.HasPrefix(p.Version, "v1.26.") }

// APIServerPort is 6443 with both.
func (p Personality) APIServerPort() int { return 6443 }

// Of reads the program from how this process was called, and the version from the machine.
func Of(argv0 string) Personality {
	if strings.HasPrefix(filepath.Base(argv0), "rke2") {
		return with(Personality{
			Program: "rke2", Version: "v1.35.4+rke2r1", EnvPrefix: "RKE2", SupervisorPort: 9345, StaticPods: true,
			DataDir: "/var/lib/rancher/rke2", ConfigFile: "/etc/rancher/rke2/config.yaml", Kubeconfig: "/etc/rancher/rke2/rke2.yaml",
		})
	}
	return with(Personality{
		Program: "k3s", Version: "v1.35.4+k3s1", EnvPrefix: "K3S", SupervisorPort: 6443,
		DataDir: "/var/lib/rancher/k3s", ConfigFile: "/etc/rancher/k3s/config.yaml", Kubeconfig: "/etc/rancher/k3s/k3s.yaml",
	})
}

func with(p Personality) Personality {
	if line, err := os.ReadFile(VersionFile); err == nil {
		if version := strings.TrimSpace(string(line)); version != "" {
			p.Version = version
		}
	}
	return p
}
