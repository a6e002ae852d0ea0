// Package config finds what a command was told: by its arguments, by the environment, by config.yaml and the drop-ins beside it.
package config

import "time"

// Options holds every value that the stand-in acts on.
type Options struct {
	ConfigFile string
	DataDir    string // /var/lib/rancher/<prog>
	NodeName   string // default: the host's name
	NodeIP     string // "" when not given
	Token      string // as given: flag, environment or the content of TokenFile
	AgentToken string

	// server
	Server              string
	ClusterInit         bool
	ClusterReset        bool
	RestorePath         string
	DatastoreEndpoint   string
	DisableEtcd         bool
	DisableAgent        bool
	DisableAPIServer    bool
	SecretsEncryption   bool
	EtcdArgs            []string // "advertise-client-urls=https://127.0.0.1:2379"
	EtcdExposeMetrics   bool
	TLSSan              []string
	WriteKubeconfigMode string

	Snapshots Snapshots
	S3        *S3 // nil: not enabled (etcd-s3 false)

	// etcd-snapshot
	Positional []string
	EtcdServer string // https://127.0.0.1:6443
	EtcdToken  string
	Output     string // ls -o
	// RetentionGiven: prune sends a retention only when somebody gave one.
	RetentionGiven bool

	// Warnings are the lines to log before anything else ("Unknown flag --x found in config.yaml, skipping").
	Warnings []string
	// Given holds the arguments as merged (config files first), for the Node annotation node-args.
	Given []string
}

// Snapshots is what etcd-snapshot-* and disable-snapshots say.
type Snapshots struct {
	Disabled  bool
	Name      string // server: etcd-snapshot; command line: on-demand
	Dir       string // "" is the default folder
	Cron      string
	Retention int
	Compress  bool
	Reconcile time.Duration
}

// S3 is what etcd-s3-* say. Its JSON is the body of a request to /db/snapshot.
type S3 struct {
	AccessKey     string        `json:"accessKey,omitempty"`
	SecretKey     string        `json:"secretKey,omitempty"`
	SessionToken  string        `json:"sessionToken,omitempty"`
	Bucket        string        `json:"bucket,omitempty"`
	BucketLookup  string        `json:"bucketLookup,omitempty"`
	ConfigSecret  string        `json:"configSecret,omitempty"`
	Endpoint      string        `json:"endpoint,omitempty"`
	EndpointCA    string        `json:"endpointCA,omitempty"`
	Folder        string        `json:"folder,omitempty"`
	Insecure      bool          `json:"insecure"`
	Proxy         string        `json:"proxy,omitempty"`
	Region        string        `json:"region,omitempty"`
	Retention     int           `json:"retention,omitempty"`
	SkipSSLVerify bool          `json:"skipSSLVerify,omitempty"`
	Timeout       time.Duration `json:"timeout,omitempty"`
}

// UsageError is a command line that does not parse: the help goes to stdout, the message to stderr, exit code 1.
type UsageError struct {
	Message string
	Help    string
}

func (e *UsageError) Error() string { return e.Message }
