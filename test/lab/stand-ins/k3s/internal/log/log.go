// Package log writes lines as K3s does when its output is no terminal.
package log

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"time"
)

var (
	mutex  sync.Mutex
	output io.Writer = os.Stderr
)

// SetOutput says where the lines go from now on.
func SetOutput(to io.Writer) {
	mutex.Lock()
	defer mutex.Unlock()
	output = to
}

func Infof(format string, values ...any)  { write("info", format, values) }
func Warnf(format string, values ...any)  { write("warning", format, values) }
func Errorf(format string, values ...any) { write("error", format, values) }

// Fatalf writes the line and returns the exit code that goes with it, so that callers can put their own things in order first.
func Fatalf(format string, values ...any) int {
	write("fatal", format, values)
	return 1
}

func write(level, format string, values []any) {
	message := fmt.Sprintf(format, values...)
	mutex.Lock()
	defer mutex.Unlock()
	fmt.Fprintf(output, "time=%q level=%s msg=%s\n", time.Now().UTC().Format(time.RFC3339), level, quoted(message))
}

// quoted leaves a single plain word as it is, as in `msg=start`.
func quoted(message string) string {
	if message == "" {
		return `""`
	}
	for _, r := range message {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
		case r == '-' || r == '.' || r == '_' || r == '/' || r == '@' || r == '^' || r == '+':
		default:
			return strconv.Quote(message)
		}
	}
	return message
}
