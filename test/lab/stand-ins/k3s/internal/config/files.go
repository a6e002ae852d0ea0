package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	yaml "sigs.k8s.io/yaml/goyaml.v2"

	"lab/stand-ins/k3s/internal/log"
)

// fileArguments turns the configuration file and its drop-ins into arguments. Of each key the last file wins entirely; `key+` appends.
func fileArguments(file string) ([]string, error) {
	files, err := filesOf(file)
	if err != nil {
		return nil, err
	}
	var order []string
	values := map[string]any{}
	for _, name := range files {
		content, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		keys := yaml.MapSlice{}
		if err := yaml.Unmarshal(content, &keys); err != nil {
			return nil, err
		}
		for _, item := range keys {
			key, appends := strings.CutSuffix(text(item.Key), "+")
			previous, seen := values[key]
			if !seen {
				order = append(order, key)
			}
			if seen && appends {
				values[key] = append(list(previous), list(item.Value)...)
			} else {
				values[key] = item.Value
			}
		}
	}
	var arguments []string
	for _, key := range order {
		dashes := "--"
		if len(key) == 1 {
			dashes = "-"
		}
		if items, several := values[key].([]any); several {
			for _, item := range items {
				arguments = append(arguments, dashes+key+"="+text(item))
			}
		} else {
			arguments = append(arguments, dashes+key+"="+text(values[key]))
		}
	}
	return arguments, nil
}

// filesOf finds what there is: the file, then *.yaml and *.yml of <file>.d by name, also when the file itself is missing.
func filesOf(file string) ([]string, error) {
	var files []string
	if _, err := os.Stat(file); err == nil {
		files = append(files, file)
	} else if !os.IsNotExist(err) {
		return nil, err
	}
	entries, err := os.ReadDir(file + ".d")
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	for _, entry := range entries {
		name := strings.ToLower(entry.Name())
		if !entry.IsDir() && (strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml")) {
			files = append(files, filepath.Join(file+".d", entry.Name()))
		}
	}
	return files, nil
}

// known drops the arguments from files that this command does not have. The real line ends with a newline inside the quotes too.
func known(arguments []string, flags map[string]bool) (kept, warnings []string) {
	for _, argument := range arguments {
		name, _, _ := strings.Cut(argument, "=")
		if flags[strings.TrimLeft(name, "-")] {
			kept = append(kept, argument)
		} else {
			warnings = append(warnings, fmt.Sprintf("Unknown flag %s found in config.yaml, skipping\n", name))
		}
	}
	return kept, warnings
}

// LogWarnings writes what Parse had to say.
func (o *Options) LogWarnings() {
	for _, warning := range o.Warnings {
		log.Warnf("%s", warning)
	}
}

func text(value any) string {
	if value == nil {
		return ""
	}
	return fmt.Sprint(value)
}

func list(value any) []any {
	switch v := value.(type) {
	case []any:
		return v
	case nil:
		return nil
	default:
		return []any{text(v)}
	}
}
