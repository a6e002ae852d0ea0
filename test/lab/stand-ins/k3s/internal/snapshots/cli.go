package snapshots

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"

	"sigs.k8s.io/yaml"

	"lab/stand-ins/k3s/internal/config"
	"lab/stand-ins/k3s/internal/log"
	"lab/stand-ins/k3s/internal/personality"
)

var subcommands = map[string]string{"save": "save", "ls": "ls", "list": "ls", "l": "ls", "delete": "delete", "prune": "prune"}

// CLI runs `etcd-snapshot <subcommand> …` with all arguments after `etcd-snapshot` and returns the exit code.
func CLI(p personality.Personality, args []string, env map[string]string) int {
	return cli(p, args, env, os.Stdout)
}

func cli(p personality.Personality, args []string, env map[string]string, stdout io.Writer) int {
	subcommand := ""
	if len(args) > 0 {
		subcommand = subcommands[args[0]]
	}
	if subcommand == "" {
		fmt.Fprintf(stdout, "NAME:\n   %[1]s etcd-snapshot - Manage etcd snapshots\n\nUSAGE:\n   %[1]s etcd-snapshot command [command options] [arguments...]\n\nCOMMANDS:\n   save, delete, ls, list, l, prune\n", p.Program)
		return 0
	}
	options, err := config.Parse(p, "etcd-snapshot "+subcommand, args[1:], env)
	var usage *config.UsageError
	if errors.As(err, &usage) {
		fmt.Fprint(stdout, usage.Help)
		if usage.Message == "" {
			return 0
		}
	}
	if err != nil {
		return log.Fatalf("%v", err)
	}
	options.LogWarnings()
	if err := run(p, subcommand, options, stdout); err != nil {
		return log.Fatalf("%v", err)
	}
	return 0
}

func run(p personality.Personality, subcommand string, options *config.Options, stdout io.Writer) error {
	if subcommand != "delete" && len(options.Positional) > 0 {
		return errors.New("this command does not take any arguments")
	}
	if subcommand == "delete" && len(options.Positional) == 0 {
		return errors.New("no snapshots given for removal")
	}
	if subcommand == "ls" && !slices.Contains([]string{"", "table", "json", "yaml"}, options.Output) {
		return errors.New("invalid output format: " + options.Output)
	}
	if p.Old() {
		return runOld(p, subcommand, options, stdout)
	}
	asked := request{Operation: subcommand, Name: []string{options.Snapshots.Name}, S3: options.S3}
	if options.Snapshots.Dir != "" {
		asked.Dir = &options.Snapshots.Dir
	}
	if options.Snapshots.Compress {
		asked.Compress = &options.Snapshots.Compress
	}
	switch subcommand {
	case "save":
		never := 0
		asked.Retention = &never
		if asked.S3 != nil {
			asked.S3.Retention = never
		}
	case "prune":
		if options.RetentionGiven {
			asked.Retention = &options.Snapshots.Retention
		}
	case "delete":
		asked.Name = options.Positional
	case "ls":
		asked.Operation, asked.Name = "list", nil
		var found list
		if err := post(options, asked, &found); err != nil {
			return err
		}
		return printList(found, options.Output, stdout)
	}
	var result Result
	if err := post(options, asked, &result); err != nil {
		return err
	}
	report(asked, result)
	return nil
}

func report(asked request, result Result) {
	for _, name := range result.Created {
		log.Infof("Snapshot %s saved.", name)
	}
	if asked.Operation != "delete" {
		for _, name := range result.Deleted {
			log.Infof("Snapshot %s deleted.", name)
		}
		return
	}
	for _, name := range asked.Name {
		if slices.Contains(result.Deleted, name) {
			log.Infof("Snapshot %s deleted.", name)
		} else {
			log.Warnf("Snapshot %s not found.", name)
		}
	}
}

func printList(found list, output string, stdout io.Writer) error {
	switch output {
	case "json":
		content, err := json.MarshalIndent(found, "", "    ")
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(stdout, "%s\n", content)
		return err
	case "yaml":
		content, err := yaml.Marshal(found)
		if err != nil {
			return err
		}
		_, err = stdout.Write(content)
		return err
	}
	// By time alone: what was saved in the same second comes in any order.
	slices.SortStableFunc(found.Items, func(a, b listed) int {
		if a.Status.CreationTime < b.Status.CreationTime {
			return -1
		}
		if a.Status.CreationTime > b.Status.CreationTime {
			return 1
		}
		return 0
	})
	table := tabwriter.NewWriter(stdout, 0, 0, 1, ' ', 0)
	fmt.Fprint(table, "Name\tLocation\tSize\tCreated\n")
	for _, item := range found.Items {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", item.Spec.SnapshotName, item.Spec.Location, item.Status.Size, item.Status.CreationTime)
	}
	return table.Flush()
}
