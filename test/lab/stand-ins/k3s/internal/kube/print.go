package kube

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"sigs.k8s.io/yaml"
)

// group is what was found of one kind.
type group struct {
	kind    resource
	objects []Object
}

// columns of a kind; those after the bar are of `-o wide`.
var columns = map[string]struct{ narrow, wide []string }{
	"Node":             {[]string{"NAME", "STATUS", "ROLES", "AGE", "VERSION"}, []string{"INTERNAL-IP", "EXTERNAL-IP", "OS-IMAGE", "KERNEL-VERSION", "CONTAINER-RUNTIME"}},
	"Namespace":        {[]string{"NAME", "STATUS", "AGE"}, nil},
	"Secret":           {[]string{"NAME", "TYPE", "DATA", "AGE"}, nil},
	"ConfigMap":        {[]string{"NAME", "DATA", "AGE"}, nil},
	"Event":            {[]string{"NAME", "AGE"}, nil},
	"Pod":              {[]string{"NAME", "AGE"}, nil},
	"ETCDSnapshotFile": {[]string{"NAME", "SNAPSHOTNAME", "NODE", "LOCATION", "SIZE", "CREATIONTIME"}, nil},
}

// print writes what was found. single: one object was asked for by its name.
func (k *kubectl) print(groups []group, single bool) error {
	var all []any
	for _, g := range groups {
		for _, object := range g.objects {
			all = append(all, map[string]any(object))
		}
	}
	whole := any(map[string]any{"apiVersion": "v1", "kind": "List", "metadata": map[string]any{"resourceVersion": ""}, "items": append([]any{}, all...)})
	if single && len(all) == 1 {
		whole = all[0]
	}
	format, template, _ := strings.Cut(k.output, "=")
	switch format {
	case "json":
		content, err := json.MarshalIndent(whole, "", "    ")
		fmt.Fprintf(k.stdout, "%s\n", content)
		return err
	case "yaml":
		content, err := yaml.Marshal(whole)
		k.stdout.Write(content)
		return err
	case "jsonpath":
		text, err := evaluate(template, whole)
		fmt.Fprint(k.stdout, text)
		return err
	case "name":
		for _, g := range groups {
			for _, object := range g.objects {
				fmt.Fprintf(k.stdout, "%s/%s\n", g.kind.qualified(), Text(object, "metadata", "name"))
			}
		}
		return nil
	case "custom-columns":
		return k.printColumns(template, all)
	case "", "wide":
		return k.printTables(groups, len(all))
	}
	return fmt.Errorf("unable to match a printer suitable for the output format %q", k.output)
}

func (k *kubectl) printTables(groups []group, total int) error {
	if total == 0 {
		if k.ignoreNotFound {
			return nil
		}
		where := ""
		if groups[0].kind.namespaced && !k.allNamespaces {
			where = " in " + k.scope(groups[0].kind) + " namespace."
		}
		fmt.Fprintf(k.stderr, "No resources found%s\n", where)
		return nil
	}
	written := 0
	for _, g := range groups {
		if len(g.objects) == 0 {
			continue
		}
		if written++; written > 1 {
			fmt.Fprintln(k.stdout)
		}
		titles := columns[g.kind.kind].narrow
		if k.output == "wide" {
			titles = slices.Concat(titles, columns[g.kind.kind].wide)
		}
		if k.allNamespaces && g.kind.namespaced {
			titles = slices.Concat([]string{"NAMESPACE"}, titles)
		}
		table := newTable(k.stdout)
		if !k.noHeaders {
			fmt.Fprintln(table, strings.Join(titles, "\t"))
		}
		for _, object := range g.objects {
			var row []string
			for _, title := range titles {
				text := cell(object, title)
				if title == "NAME" && len(groups) > 1 {
					text = g.kind.qualified() + "/" + text
				}
				row = append(row, text)
			}
			fmt.Fprintln(table, strings.Join(row, "\t"))
		}
		table.Flush()
	}
	return nil
}

func newTable(out io.Writer) *tabwriter.Writer { return tabwriter.NewWriter(out, 6, 4, 3, ' ', 0) }

func cell(object Object, title string) string {
	switch title {
	case "NAME":
		return Text(object, "metadata", "name")
	case "NAMESPACE":
		return Text(object, "metadata", "namespace")
	case "AGE":
		return age(Text(object, "metadata", "creationTimestamp"))
	case "DATA":
		return strconv.Itoa(len(Child(object, "data")))
	case "TYPE":
		return Text(object, "type")
	case "STATUS":
		return state(object)
	case "ROLES":
		var roles []string
		for label := range Child(Child(object, "metadata"), "labels") {
			if role, found := strings.CutPrefix(label, "node-role.kubernetes.io/"); found {
				roles = append(roles, role)
			}
		}
		slices.Sort(roles)
		return or(strings.Join(roles, ","), "<none>")
	case "VERSION":
		return Text(object, "status", "nodeInfo", "kubeletVersion")
	case "INTERNAL-IP":
		addresses, _ := Child(object, "status")["addresses"].([]any)
		for _, address := range addresses {
			if fields := address.(map[string]any); fields["type"] == "InternalIP" {
				return fmt.Sprint(fields["address"])
			}
		}
		return "<none>"
	case "EXTERNAL-IP":
		return "<none>"
	case "SNAPSHOTNAME":
		return Text(object, "spec", "snapshotName")
	case "NODE":
		return Text(object, "spec", "nodeName")
	case "LOCATION":
		return Text(object, "spec", "location")
	case "SIZE":
		return Text(object, "status", "size")
	case "CREATIONTIME":
		return Text(object, "status", "creationTime")
	}
	return "<unknown>"
}

func state(object Object) string {
	if phase := Text(object, "status", "phase"); phase != "" {
		return phase
	}
	conditions, _ := Child(object, "status")["conditions"].([]any)
	for _, condition := range conditions {
		if fields := condition.(map[string]any); fields["type"] == "Ready" && fields["status"] == "True" {
			return "Ready"
		}
	}
	return "NotReady"
}

// age as kubectl words it: 14s, 2m2s, 12m, 3h5m.
func age(created string) string {
	at, err := time.Parse(time.RFC3339, created)
	if err != nil {
		return "<unknown>"
	}
	seconds := max(0, int(time.Since(at).Seconds()))
	minutes, hours := seconds/60, seconds/3600
	pair := func(a int, unit string, b int, subunit string) string {
		if b == 0 {
			return fmt.Sprintf("%d%s", a, unit)
		}
		return fmt.Sprintf("%d%s%d%s", a, unit, b, subunit)
	}
	switch {
	case seconds < 120:
		return fmt.Sprintf("%ds", seconds)
	case minutes < 10:
		return pair(minutes, "m", seconds%60, "s")
	case minutes < 180:
		return fmt.Sprintf("%dm", minutes)
	case hours < 8:
		return pair(hours, "h", minutes%60, "m")
	default:
		return fmt.Sprintf("%dh", hours)
	}
}

// printColumns is -o custom-columns=TITLE:.path,…
func (k *kubectl) printColumns(spec string, objects []any) error {
	table := newTable(k.stdout)
	var titles, paths []string
	for _, column := range strings.Split(spec, ",") {
		title, path, found := strings.Cut(column, ":")
		if !found {
			return fmt.Errorf("unexpected custom-columns spec: %s, expected <header>:<json-path-expr>", column)
		}
		titles, paths = append(titles, title), append(paths, path)
	}
	if !k.noHeaders {
		fmt.Fprintln(table, strings.Join(titles, "\t"))
	}
	for _, object := range objects {
		var row []string
		for _, path := range paths {
			text, err := evaluate("{"+path+"}", object)
			if err != nil {
				return err
			}
			row = append(row, or(text, "<none>"))
		}
		fmt.Fprintln(table, strings.Join(row, "\t"))
	}
	return table.Flush()
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
