package log

import (
	"bytes"
	"regexp"
	"testing"
)

func TestLinesLookAsRecorded(t *testing.T) {
	var lines bytes.Buffer
	SetOutput(&lines)
	Infof("start")
	Warnf("%s", "Unknown flag --x found in config.yaml, skipping\n")
	Fatalf("failed: Get \"https://x\"")
	recorded := regexp.MustCompile(`^time="\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ" level=info msg=start
time="[^"]+" level=warning msg="Unknown flag --x found in config.yaml, skipping\\n"
time="[^"]+" level=fatal msg="failed: Get \\"https://x\\""
$`)
	if !recorded.MatchString(lines.String()) {
		t.Error(lines.String())
	}
}
