// Package fault makes the stand-in fail on demand: a fault is on while its file exists. README.md lists them.
package fault

import (
	"os"
	"path/filepath"
	"strings"
)

// Folder holds the files.
var Folder = "/run/stand-in-faults"

// On says whether a fault is on, and what its file holds.
func On(name string) (parameter string, on bool) {
	content, err := os.ReadFile(filepath.Join(Folder, name))
	return strings.TrimSpace(string(content)), err == nil
}
