package kube

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"lab/stand-ins/k3s/internal/personality"
)

// CLI runs `kubectl …` and returns the exit code.
func CLI(p personality.Personality, args []string, env map[string]string) int {
	return (&kubectl{p: p, env: env, stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}).run(args)
}

// kubectl is one command line.
type kubectl struct {
	p              personality.Personality
	env            map[string]string
	stdin          io.Reader
	stdout, stderr io.Writer
	api            *api

	kubeconfig, namespace, output, file, raw, selector string
	allNamespaces, ignoreNotFound, noHeaders           bool
	literals                                           literals
}

type literals []string

func (l *literals) String() string     { return "" }
func (l *literals) Set(s string) error { *l = append(*l, s); return nil }

// apiError is a Status that the server answered with.
type apiError struct{ reason, message string }

func (e apiError) Error() string {
	return fmt.Sprintf("Error from server (%s): %s", e.reason, e.message)
}

func (k *kubectl) run(args []string) int {
	words, err := k.parse(args)
	if err == nil {
		err = k.dispatch(words)
	}
	if err != nil {
		message := err.Error()
		var refused refusedError
		if !errors.As(err, new(apiError)) && !errors.As(err, &refused) {
			message = "error: " + message
		}
		fmt.Fprintln(k.stderr, message)
		return 1
	}
	return 0
}

// parse takes flags wherever they stand among the words.
func (k *kubectl) parse(args []string) (words []string, err error) {
	set := flag.NewFlagSet("kubectl", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	text := func(to *string, names ...string) {
		for _, name := range names {
			set.StringVar(to, name, *to, "")
		}
	}
	truth := func(to *bool, names ...string) {
		for _, name := range names {
			set.BoolVar(to, name, false, "")
		}
	}
	var ignored string
	var ignoredBool bool
	text(&k.kubeconfig, "kubeconfig")
	text(&k.namespace, "n", "namespace")
	text(&k.output, "o", "output")
	text(&k.file, "f", "filename")
	text(&k.raw, "raw")
	text(&k.selector, "l", "selector")
	text(&ignored, "request-timeout", "timeout", "type", "field-manager", "p", "patch-file", "sort-by", "v")
	truth(&k.allNamespaces, "A", "all-namespaces")
	truth(&k.ignoreNotFound, "ignore-not-found")
	truth(&k.noHeaders, "no-headers")
	truth(&ignoredBool, "wait", "overwrite", "now", "force")
	set.Var(&k.literals, "from-literal", "")
	for len(args) > 0 {
		if err := set.Parse(args); err != nil {
			return nil, err
		}
		args = set.Args()
		if len(args) > 0 {
			words, args = append(words, args[0]), args[1:]
		}
	}
	return words, nil
}

func (k *kubectl) dispatch(words []string) error {
	if len(words) == 0 {
		return errors.New("a command is needed")
	}
	config := k.kubeconfig
	if config == "" {
		config = k.env["KUBECONFIG"]
	}
	if config == "" {
		config = k.p.Kubeconfig
	}
	if k.api == nil {
		var err error
		if k.api, err = connect(config); err != nil {
			return err
		}
	}
	switch command, rest := words[0], words[1:]; {
	case command == "get" && k.raw != "":
		content, err := k.api.call(http.MethodGet, k.raw, nil)
		if err == nil {
			_, err = k.stdout.Write(content)
		}
		return err
	case command == "get" && len(rest) > 0:
		return k.get(rest)
	case command == "delete" && len(rest) > 0:
		return k.delete(rest)
	case command == "create" && k.file != "", command == "apply" && k.file != "":
		return k.createFromFile(command)
	case command == "create" && len(rest) > 1:
		return k.create(rest)
	case command == "annotate" && len(rest) > 2:
		return k.annotate(rest)
	case command == "version":
		fmt.Fprintf(k.stdout, "Client Version: %[1]s\nServer Version: %[1]s\n", k.p.Version)
		return nil
	}
	return fmt.Errorf("unknown command %q for %q", strings.Join(words, " "), "kubectl")
}

// targets understands `node s1`, `node/s1`, `cm,nodes` and `nodes`.
func (k *kubectl) targets(words []string) (kinds []resource, names []string, err error) {
	if kindName, name, slashed := strings.Cut(words[0], "/"); slashed {
		words = []string{kindName, name}
	}
	for _, word := range strings.Split(words[0], ",") {
		kind, known := resourceNamed(word)
		if !known || kind.group != "" && k.p.Old() {
			return nil, nil, fmt.Errorf("the server doesn't have a resource type %q", word)
		}
		kinds = append(kinds, kind)
	}
	return kinds, words[1:], nil
}

// scope is the namespace to look in, "" for all and for what has none.
func (k *kubectl) scope(kind resource) string {
	if !kind.namespaced || k.allNamespaces {
		return ""
	}
	if k.namespace == "" {
		return "default"
	}
	return k.namespace
}

func (k *kubectl) get(words []string) error {
	kinds, names, err := k.targets(words)
	if err != nil {
		return err
	}
	var groups []group
	for _, kind := range kinds {
		found := group{kind: kind}
		if len(names) == 0 {
			if found.objects, err = k.api.list(kind, k.scope(kind)); err != nil {
				return err
			}
			found.objects = slices.DeleteFunc(found.objects, func(o Object) bool { return !selects(k.selector, o) })
		}
		for _, name := range names {
			object, err := k.api.get(kind, k.scope(kind), name)
			if k.ignoreNotFound && isNotFound(err) {
				continue
			}
			if err != nil {
				return err
			}
			found.objects = append(found.objects, object)
		}
		groups = append(groups, found)
	}
	return k.print(groups, len(names) == 1)
}

func isNotFound(err error) bool {
	var answer apiError
	return errors.As(err, &answer) && answer.reason == "NotFound"
}

// selects understands `key=value` and `key`, several with commas.
func selects(selector string, object Object) bool {
	for _, term := range strings.Split(selector, ",") {
		name, value, hasValue := strings.Cut(term, "=")
		label := Text(object, "metadata", "labels", name)
		if name != "" && (label == "" || hasValue && label != strings.TrimPrefix(value, "=")) {
			return false
		}
	}
	return true
}

func (k *kubectl) delete(words []string) error {
	kinds, names, err := k.targets(words)
	if err != nil {
		return err
	}
	kind := kinds[0]
	if len(names) == 0 {
		return errors.New("resource(s) were provided, but no name was specified")
	}
	for _, name := range names {
		_, err := k.api.call(http.MethodDelete, kind.path(k.scope(kind))+"/"+name, nil)
		if k.ignoreNotFound && isNotFound(err) {
			continue
		}
		if err != nil {
			return err
		}
		from := ""
		if kind.namespaced && !k.p.Old() {
			from = " from " + k.scope(kind) + " namespace"
		}
		fmt.Fprintf(k.stdout, "%s %q deleted%s\n", kind.qualified(), name, from)
	}
	return nil
}

// create makes `configmap NAME`, `secret generic NAME` and `namespace NAME` of literals.
func (k *kubectl) create(words []string) error {
	kinds, names, err := k.targets(words[:1])
	if err != nil {
		return err
	}
	names = words[1:]
	if kinds[0].kind == "Secret" {
		names = names[1:]
	}
	if len(names) != 1 {
		return fmt.Errorf("exactly one NAME is required, got %d", len(names))
	}
	data := Object{}
	for _, literal := range k.literals {
		name, value, found := strings.Cut(literal, "=")
		if !found {
			return fmt.Errorf("invalid literal source %s, expected key=value", literal)
		}
		if kinds[0].kind == "Secret" {
			value = base64Of(value)
		}
		data[name] = value
	}
	object := Object{"metadata": Object{"name": names[0]}}
	if kinds[0].kind != "Namespace" {
		object["data"] = data
	}
	if kinds[0].kind == "Secret" {
		object["type"] = "Opaque"
	}
	if err := k.api.create(kinds[0], k.scope(kinds[0]), object); err != nil {
		var answer apiError
		if errors.As(err, &answer) && answer.reason == "AlreadyExists" {
			return fmt.Errorf("failed to create %s: %s", kinds[0].singular(), answer.message)
		}
		return err
	}
	fmt.Fprintf(k.stdout, "%s/%s created\n", kinds[0].qualified(), names[0])
	return nil
}

func (k *kubectl) createFromFile(command string) error {
	content, err := os.ReadFile(k.file)
	if k.file == "-" {
		content, err = io.ReadAll(k.stdin)
	}
	if err != nil {
		return err
	}
	for _, document := range bytes.Split(content, []byte("\n---\n")) {
		var object Object
		if err := yaml.Unmarshal(document, &object); err != nil {
			return err
		}
		if object == nil {
			continue
		}
		kind, known := resourceNamed(Text(object, "kind"))
		if !known {
			return fmt.Errorf("no matches for kind %q", Text(object, "kind"))
		}
		if namespace := Text(object, "metadata", "namespace"); namespace != "" {
			k.namespace = namespace
		}
		done := "created"
		err := k.api.create(kind, k.scope(kind), object)
		var answer apiError
		if command == "apply" && errors.As(err, &answer) && answer.reason == "AlreadyExists" {
			done = "configured"
			body, _ := json.Marshal(object)
			_, err = k.api.call(http.MethodPatch, kind.path(k.scope(kind))+"/"+Text(object, "metadata", "name"), body)
		}
		if err != nil {
			return err
		}
		fmt.Fprintf(k.stdout, "%s/%s %s\n", kind.qualified(), Text(object, "metadata", "name"), done)
	}
	return nil
}

func (k *kubectl) annotate(words []string) error {
	kinds, names, err := k.targets(words)
	if err != nil {
		return err
	}
	annotations := Object{}
	for _, word := range names[1:] {
		if name, value, set := strings.Cut(word, "="); set {
			annotations[name] = value
		} else {
			annotations[strings.TrimSuffix(word, "-")] = nil
		}
	}
	body, _ := json.Marshal(Object{"metadata": Object{"annotations": annotations}})
	if _, err := k.api.call(http.MethodPatch, kinds[0].path(k.scope(kinds[0]))+"/"+names[0], body); err != nil {
		return err
	}
	fmt.Fprintf(k.stdout, "%s/%s annotated\n", kinds[0].qualified(), names[0])
	return nil
}
