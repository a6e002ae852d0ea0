package config

import (
	"bytes"
	"fmt"
	"strings"
	"text/tabwriter"

	"lab/stand-ins/k3s/internal/personality"
)

var descriptions = map[string]string{
	"server":               "Run management server",
	"etcd-snapshot save":   "Trigger an immediate etcd snapshot",
	"etcd-snapshot ls":     "List snapshots",
	"etcd-snapshot delete": "Delete given snapshot(s)",
	"etcd-snapshot prune":  "Remove snapshots that match the name prefix that exceed the configured retention count",
}

// help as the distributions' command line library prints it.
func help(p personality.Personality, command string, options []option) string {
	var page bytes.Buffer
	out := tabwriter.NewWriter(&page, 1, 8, 2, ' ', 0)
	fmt.Fprintf(out, "NAME:\n   %s %s - %s\n\n", p.Program, command, descriptions[command])
	fmt.Fprintf(out, "USAGE:\n   %s %s [command options] [arguments...]\n\nOPTIONS:\n   ", p.Program, command)
	for _, o := range options {
		fmt.Fprintf(out, "%s\t%s%s\n   ", spelled(o), o.usage, variable(p, o))
	}
	fmt.Fprintln(out)
	out.Flush()
	return page.String()
}

func spelled(o option) string {
	var forms []string
	for _, name := range o.names {
		dashes, hint := "--", " value"
		if len(name) == 1 {
			dashes = "-"
		}
		if o.value.IsBoolFlag() {
			hint = ""
		} else if o.hint != "" {
			hint = " " + o.hint
		}
		forms = append(forms, dashes+name+hint)
	}
	return strings.Join(forms, ", ")
}

func variable(p personality.Personality, o option) string {
	if o.env == "" {
		return ""
	}
	return " [$" + strings.Replace(o.env, "%s", p.EnvPrefix, 1) + "]"
}
