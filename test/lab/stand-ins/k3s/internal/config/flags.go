package config

import (
	"strconv"
	"strings"
	"time"

	"lab/stand-ins/k3s/internal/personality"
)

// option is one flag of a command: its names, where its value goes, and what the help says.
type option struct {
	names []string
	env   string // with %s for K3S or RKE2
	value value
	hint  string // in place of "value" in the help: FILE
	usage string // in the help, with the default as recorded
}

// value is a flag.Value that knows whether somebody set it.
type value interface {
	String() string
	Set(string) error
	IsBoolFlag() bool
}

type boolean struct{ to *bool }

func (v boolean) String() string   { return "" }
func (v boolean) IsBoolFlag() bool { return true }
func (v boolean) Set(s string) (err error) {
	*v.to, err = strconv.ParseBool(s)
	return err
}

type word struct{ to *string }

func (v word) String() string     { return "" }
func (v word) IsBoolFlag() bool   { return false }
func (v word) Set(s string) error { *v.to = s; return nil }

type words struct{ to *[]string }

func (v words) String() string     { return "" }
func (v words) IsBoolFlag() bool   { return false }
func (v words) Set(s string) error { *v.to = append(*v.to, s); return nil }

type number struct {
	to    *int
	given *bool
}

func (v number) String() string   { return "" }
func (v number) IsBoolFlag() bool { return false }
func (v number) Set(s string) (err error) {
	if v.given != nil {
		*v.given = true
	}
	*v.to, err = strconv.Atoi(s)
	return err
}

type duration struct{ to *time.Duration }

func (v duration) String() string   { return "" }
func (v duration) IsBoolFlag() bool { return false }
func (v duration) Set(s string) (err error) {
	*v.to, err = time.ParseDuration(s)
	return err
}

// ignored takes what the stand-in accepts and does not act on.
type ignored struct{ boolean bool }

func (v ignored) String() string   { return "" }
func (v ignored) IsBoolFlag() bool { return v.boolean }
func (v ignored) Set(string) error { return nil }

// raw is what the flags write to; Parse makes Options of it.
type raw struct {
	Options
	s3               S3
	s3Enabled        bool
	tokenFile        string
	retentionGiven   bool
	s3RetentionGiven bool
}

// commonOptions are those of every command.
func commonOptions(p personality.Personality, r *raw) []option {
	return []option{
		{names: []string{"debug"}, env: "%s_DEBUG", value: ignored{true}, usage: "(logging) Turn on debug logs"},
		{names: []string{"config", "c"}, env: "%s_CONFIG_FILE", value: word{&r.ConfigFile}, hint: "FILE",
			usage: `(config) Load configuration from FILE (default: "` + p.ConfigFile + `")`},
		{names: []string{"log", "l"}, value: ignored{}, usage: "(logging) Log to file"},
		{names: []string{"alsologtostderr"}, value: ignored{true}, usage: "(logging) Log to standard error as well as file (if set)"},
		{names: []string{"node-name"}, env: "%s_NODE_NAME", value: word{&r.NodeName}, usage: "(agent/node) Node name"},
		{names: []string{"data-dir", "d"}, env: "%s_DATA_DIR", value: word{&r.DataDir},
			usage: "(data) Folder to hold state default " + p.DataDir + " or ${HOME}/.rancher/" + p.Program + " if not root"},
	}
}

func snapshotOptions(p personality.Personality, r *raw, subcommand string) []option {
	options := commonOptions(p, r)
	if !p.Old() {
		options = append(options,
			option{names: []string{"etcd-token", "t"}, value: word{&r.EtcdToken}, usage: "(cluster) Shared secret used to authenticate to etcd server"},
			option{names: []string{"etcd-server", "s"}, value: word{&r.EtcdServer},
				usage: `(cluster) Server with etcd role to connect to for snapshot management operations (default: "` + r.EtcdServer + `")`})
	}
	options = append(options,
		option{names: []string{"dir", "etcd-snapshot-dir"}, value: word{&r.Snapshots.Dir}, usage: "(db) Directory to save etcd on-demand snapshot. (default: ${data-dir}/db/snapshots)"},
		option{names: []string{"name"}, value: word{&r.Snapshots.Name},
			usage: `(db) Set the base name of the etcd on-demand snapshot (appended with UNIX timestamp). (default: "on-demand")`},
		option{names: []string{"snapshot-compress", "etcd-snapshot-compress"}, value: boolean{&r.Snapshots.Compress}, usage: "(db) Compress etcd snapshot"},
		option{names: []string{"snapshot-retention", "etcd-snapshot-retention"}, value: number{&r.Snapshots.Retention, &r.retentionGiven},
			usage: "(db) Number of snapshots to retain. (default: 5)"})
	if subcommand == "ls" {
		options = append(options, option{names: []string{"o", "output"}, value: word{&r.Output}, usage: "(db) List format. Default: standard. Optional: json"})
	}
	for _, o := range s3Options(p, r) {
		short := strings.TrimPrefix(o.names[0], "etcd-")
		o.names = []string{short, o.names[0]}
		options = append(options, o)
	}
	return options
}

// s3Options in their server spelling.
func s3Options(p personality.Personality, r *raw) []option {
	all := []struct {
		option
		recent bool
	}{
		{option{names: []string{"etcd-s3"}, value: boolean{&r.s3Enabled}, usage: "(db) Enable backup to S3"}, false},
		{option{names: []string{"etcd-s3-endpoint"}, value: word{&r.s3.Endpoint}, usage: `(db) S3 endpoint url (default: "s3.amazonaws.com")`}, false},
		{option{names: []string{"etcd-s3-endpoint-ca"}, value: word{&r.s3.EndpointCA}, usage: "(db) S3 custom CA cert to connect to S3 endpoint"}, false},
		{option{names: []string{"etcd-s3-skip-ssl-verify"}, value: boolean{&r.s3.SkipSSLVerify}, usage: "(db) Disables S3 SSL certificate validation"}, false},
		{option{names: []string{"etcd-s3-access-key"}, env: "AWS_ACCESS_KEY_ID", value: word{&r.s3.AccessKey}, usage: "(db) S3 access key"}, false},
		{option{names: []string{"etcd-s3-secret-key"}, env: "AWS_SECRET_ACCESS_KEY", value: word{&r.s3.SecretKey}, usage: "(db) S3 secret key"}, false},
		{option{names: []string{"etcd-s3-session-token"}, env: "AWS_SESSION_TOKEN", value: word{&r.s3.SessionToken}, usage: "(db) S3 session token"}, true},
		{option{names: []string{"etcd-s3-bucket-lookup-type"}, value: word{&r.s3.BucketLookup},
			usage: "(db) S3 bucket lookup type, one of 'auto', 'dns', 'path'; default is 'auto' if not set"}, true},
		{option{names: []string{"etcd-s3-retention"}, value: number{&r.s3.Retention, &r.s3RetentionGiven}, usage: "(db) S3 retention limit (default: 5)"}, true},
		{option{names: []string{"etcd-s3-bucket"}, value: word{&r.s3.Bucket}, usage: "(db) S3 bucket name"}, false},
		{option{names: []string{"etcd-s3-region"}, value: word{&r.s3.Region}, usage: `(db) S3 region / bucket location (optional) (default: "us-east-1")`}, false},
		{option{names: []string{"etcd-s3-folder"}, value: word{&r.s3.Folder}, usage: "(db) S3 folder"}, false},
		{option{names: []string{"etcd-s3-proxy"}, value: word{&r.s3.Proxy},
			usage: "(db) Proxy server to use when connecting to S3, overriding any proxy-releated environment variables"}, true},
		{option{names: []string{"etcd-s3-config-secret"}, value: word{&r.s3.ConfigSecret},
			usage: "(db) Name of secret in the kube-system namespace used to configure S3, if etcd-s3 is enabled and no other etcd-s3 options are set"}, true},
		{option{names: []string{"etcd-s3-insecure"}, value: boolean{&r.s3.Insecure}, usage: "(db) Disables S3 over HTTPS"}, false},
		{option{names: []string{"etcd-s3-timeout"}, value: duration{&r.s3.Timeout}, usage: "(db) S3 timeout (default: 5m0s)"}, false},
	}
	var options []option
	for _, o := range all {
		if !o.recent || !p.Old() {
			options = append(options, o.option)
		}
	}
	return options
}

func serverOptions(p personality.Personality, r *raw) []option {
	options := append(commonOptions(p, r),
		option{names: []string{"node-ip", "i"}, value: word{&r.NodeIP}},
		option{names: []string{"token", "t"}, env: "%s_TOKEN", value: word{&r.Token}},
		option{names: []string{"token-file"}, env: "%s_TOKEN_FILE", value: word{&r.tokenFile}},
		option{names: []string{"agent-token"}, env: "%s_AGENT_TOKEN", value: word{&r.AgentToken}},
		option{names: []string{"server", "s"}, env: "%s_URL", value: word{&r.Server}},
		option{names: []string{"cluster-reset"}, env: "%s_CLUSTER_RESET", value: boolean{&r.ClusterReset}},
		option{names: []string{"cluster-reset-restore-path"}, value: word{&r.RestorePath}},
		option{names: []string{"datastore-endpoint"}, env: "%s_DATASTORE_ENDPOINT", value: word{&r.DatastoreEndpoint}},
		option{names: []string{"disable-etcd"}, value: boolean{&r.DisableEtcd}},
		option{names: []string{"disable-apiserver"}, value: boolean{&r.DisableAPIServer}},
		option{names: []string{"disable-agent"}, value: boolean{&r.DisableAgent}},
		option{names: []string{"secrets-encryption"}, env: "%s_SECRETS_ENCRYPTION", value: boolean{&r.SecretsEncryption}},
		option{names: []string{"etcd-arg"}, value: words{&r.EtcdArgs}},
		option{names: []string{"etcd-expose-metrics"}, value: boolean{&r.EtcdExposeMetrics}},
		option{names: []string{"tls-san"}, value: words{&r.TLSSan}},
		option{names: []string{"write-kubeconfig-mode"}, env: "%s_KUBECONFIG_MODE", value: word{&r.WriteKubeconfigMode}},
		option{names: []string{"etcd-disable-snapshots"}, value: boolean{&r.Snapshots.Disabled}},
		option{names: []string{"etcd-snapshot-name"}, value: word{&r.Snapshots.Name}},
		option{names: []string{"etcd-snapshot-dir"}, value: word{&r.Snapshots.Dir}},
		option{names: []string{"etcd-snapshot-schedule-cron"}, value: word{&r.Snapshots.Cron}},
		option{names: []string{"etcd-snapshot-retention"}, value: number{&r.Snapshots.Retention, &r.retentionGiven}},
		option{names: []string{"etcd-snapshot-compress"}, value: boolean{&r.Snapshots.Compress}})
	if p.Program == "k3s" {
		options = append(options, option{names: []string{"cluster-init"}, env: "%s_CLUSTER_INIT", value: boolean{&r.ClusterInit}})
	}
	if !p.Old() {
		options = append(options, option{names: []string{"etcd-snapshot-reconcile-interval"}, value: duration{&r.Snapshots.Reconcile}})
	}
	// Accepted because real servers are started with them; nothing here depends on them.
	for _, name := range []string{"flannel-backend", "egress-selector-mode", "disable", "node-label", "node-taint", "node-external-ip", "advertise-address", "bind-address",
		"cluster-cidr", "service-cidr", "cluster-dns", "kubelet-arg", "kube-apiserver-arg", "kube-controller-manager-arg", "kube-scheduler-arg", "write-kubeconfig", "cni", "profile", "selinux"} {
		options = append(options, option{names: []string{name}, value: ignored{name == "selinux"}})
	}
	for _, name := range []string{"disable-scheduler", "disable-controller-manager", "disable-cloud-controller", "disable-network-policy", "disable-kube-proxy", "disable-helm-controller", "protect-kernel-defaults"} {
		options = append(options, option{names: []string{name}, value: ignored{true}})
	}
	return append(options, s3Options(p, r)...)
}
