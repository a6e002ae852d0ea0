package config

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"lab/stand-ins/k3s/internal/personality"
)

// Parse reads `command` ("server", "etcd-snapshot save") with its arguments. The error is a *UsageError when the command line does not parse.
func Parse(p personality.Personality, command string, args []string, env map[string]string) (*Options, error) {
	r := defaults(p)
	name, subcommand, _ := strings.Cut(command, " ")
	options := serverOptions(p, r)
	if name == "etcd-snapshot" {
		r.Snapshots.Name = "on-demand"
		options = snapshotOptions(p, r, subcommand)
	}

	r.ConfigFile = configFile(p, args, env)
	fromFiles, err := fileArguments(r.ConfigFile)
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for _, o := range options {
		for _, name := range o.names {
			names[name] = true
		}
	}
	fromFiles, r.Warnings = known(fromFiles, names)
	r.Given = append(fromFiles, args...)

	set := flag.NewFlagSet(command, flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.Usage = func() {}
	for _, o := range options {
		if o.env != "" {
			variable := strings.Replace(o.env, "%s", p.EnvPrefix, 1)
			if content := env[variable]; content != "" {
				if err := o.value.Set(content); err != nil {
					return nil, fmt.Errorf("could not parse %s as value for flag %s: %s", content, o.names[0], err)
				}
			}
		}
		for _, name := range o.names {
			set.Var(o.value, name, o.usage)
		}
	}
	err = set.Parse(r.Given)
	if err == nil {
		err = twoForms(set, options)
	}
	if errors.Is(err, flag.ErrHelp) {
		return nil, &UsageError{Help: help(p, command, options)}
	}
	if err != nil {
		return nil, &UsageError{Message: err.Error(), Help: "Incorrect Usage: " + err.Error() + "\n\n" + help(p, command, options)}
	}
	return r.finish(set.Args())
}

func defaults(p personality.Personality) *raw {
	r := &raw{}
	r.DataDir = p.DataDir
	r.EtcdServer = fmt.Sprintf("https://127.0.0.1:%d", p.SupervisorPort)
	r.Snapshots = Snapshots{Name: "etcd-snapshot", Cron: "0 */12 * * *", Retention: 5, Reconcile: 10 * time.Minute}
	r.s3 = DefaultS3()
	return r
}

// DefaultS3 is what the S3 options are when none is given.
func DefaultS3() S3 {
	return S3{Endpoint: "s3.amazonaws.com", Region: "us-east-1", Timeout: 5 * time.Minute}
}

// configFile is looked for before the arguments are parsed; the environment wins.
func configFile(p personality.Personality, args []string, env map[string]string) string {
	if file := env[p.EnvPrefix+"_CONFIG_FILE"]; file != "" {
		return file
	}
	for i, arg := range args {
		for _, name := range []string{"--config", "-c"} {
			if arg == name && i+1 < len(args) {
				return args[i+1]
			}
			if file, found := strings.CutPrefix(arg, name+"="); found {
				return file
			}
		}
	}
	return p.ConfigFile
}

// twoForms is the distributions' own refusal of `--s3=false` beside `etcd-s3: true`.
func twoForms(set *flag.FlagSet, options []option) error {
	given := map[string]bool{}
	set.Visit(func(f *flag.Flag) { given[f.Name] = true })
	for _, o := range options {
		first := ""
		for _, name := range o.names {
			if !given[name] {
				continue
			}
			if first != "" {
				return errors.New("Cannot use two forms of the same flag: " + name + " " + first)
			}
			first = name
		}
	}
	return nil
}

func (r *raw) finish(positional []string) (*Options, error) {
	r.Positional = positional
	if r.NodeName == "" {
		host, err := os.Hostname()
		if err != nil {
			return nil, err
		}
		r.NodeName = host
	}
	r.NodeName = strings.ToLower(r.NodeName)
	if r.Token == "" && r.tokenFile != "" {
		content, err := os.ReadFile(r.tokenFile)
		if err != nil {
			return nil, err
		}
		r.Token = strings.TrimSpace(string(content))
	}
	if r.s3Enabled {
		if !r.s3RetentionGiven {
			r.s3.Retention = r.Snapshots.Retention
		}
		r.S3 = &r.s3
	}
	r.RetentionGiven = r.retentionGiven
	return &r.Options, nil
}
