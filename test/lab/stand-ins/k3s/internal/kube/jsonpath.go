package kube

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// evaluate knows of JSONPath what scripts use: {.a.b}, {.a\.b}, [n], [*], ['key'], [?(@.a=="b")], {"text"} and {range …}{end}.
func evaluate(template string, root any) (string, error) {
	var out strings.Builder
	for template != "" {
		open := strings.IndexByte(template, '{')
		if open < 0 {
			out.WriteString(template)
			break
		}
		out.WriteString(template[:open])
		end := closing(template[open:])
		if end < 0 {
			return "", fmt.Errorf("unclosed action in %q", template)
		}
		action := strings.TrimSpace(template[open+1 : open+end])
		template = template[open+end+1:]
		switch {
		case strings.HasPrefix(action, `"`):
			text, err := strconv.Unquote(action)
			if err != nil {
				return "", err
			}
			out.WriteString(text)
		case strings.HasPrefix(action, "range "):
			body, rest, found := strings.Cut(template, "{end}")
			if !found {
				return "", fmt.Errorf("range without end")
			}
			template = rest
			values, err := walk(strings.TrimSpace(strings.TrimPrefix(action, "range ")), root)
			if err != nil {
				return "", err
			}
			for _, value := range values {
				text, err := evaluate(body, value)
				if err != nil {
					return "", err
				}
				out.WriteString(text)
			}
		default:
			values, err := walk(action, root)
			if err != nil {
				return "", err
			}
			for i, value := range values {
				if i > 0 {
					out.WriteByte(' ')
				}
				out.WriteString(plain(value))
			}
		}
	}
	return out.String(), nil
}

// closing finds the brace that ends an action, past quoted text.
func closing(text string) int {
	quoted := byte(0)
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted != 0 && c == '\\':
			i++
		case quoted != 0 && c == quoted:
			quoted = 0
		case quoted == 0 && (c == '"' || c == '\''):
			quoted = c
		case quoted == 0 && c == '}':
			return i
		}
	}
	return -1
}

var (
	fieldStep  = regexp.MustCompile(`^\.((?:[^.\[\\]|\\.)+)`)
	quotedStep = regexp.MustCompile(`^\['([^']*)'\]`)
	indexStep  = regexp.MustCompile(`^\[(-?\d+|\*)\]`)
	filterStep = regexp.MustCompile(`^\[\?\(@(\.[^=!]+?)\s*==\s*["']([^"']*)["']\)\]`)
)

func walk(path string, root any) ([]any, error) {
	path = strings.TrimPrefix(strings.TrimPrefix(path, "$"), "@")
	values := []any{root}
	for path != "" && path != "." {
		var step func(value any) []any
		if found := fieldStep.FindStringSubmatch(path); found != nil {
			path, step = path[len(found[0]):], fieldOf(strings.ReplaceAll(found[1], `\`, ""))
		} else if found := quotedStep.FindStringSubmatch(path); found != nil {
			path, step = path[len(found[0]):], fieldOf(found[1])
		} else if found := indexStep.FindStringSubmatch(path); found != nil {
			path, step = path[len(found[0]):], itemOf(found[1])
		} else if found := filterStep.FindStringSubmatch(path); found != nil {
			path, step = path[len(found[0]):], filterOf(found[1], found[2])
		} else {
			return nil, fmt.Errorf("unrecognized JSONPath %q", path)
		}
		var next []any
		for _, value := range values {
			next = append(next, step(value)...)
		}
		values = next
	}
	return values, nil
}

func fieldOf(name string) func(any) []any {
	return func(value any) []any {
		fields, _ := value.(map[string]any)
		if field, found := fields[name]; found {
			return []any{field}
		}
		return nil
	}
}

func itemOf(index string) func(any) []any {
	return func(value any) []any {
		if fields, isMap := value.(map[string]any); isMap && index == "*" {
			var all []any
			for _, field := range fields {
				all = append(all, field)
			}
			return all
		}
		items, _ := value.([]any)
		at, err := strconv.Atoi(index)
		if err != nil {
			return items
		}
		if at < 0 {
			at += len(items)
		}
		if at < 0 || at >= len(items) {
			return nil
		}
		return items[at : at+1]
	}
}

func filterOf(path, want string) func(any) []any {
	return func(value any) []any {
		items, _ := value.([]any)
		var kept []any
		for _, item := range items {
			if values, err := walk(path, item); err == nil && len(values) == 1 && plain(values[0]) == want {
				kept = append(kept, item)
			}
		}
		return kept
	}
}

func plain(value any) string {
	if text, isText := value.(string); isText {
		return text
	}
	content, _ := json.Marshal(value)
	return string(content)
}
