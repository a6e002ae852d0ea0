package snapshots

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"lab/stand-ins/k3s/internal/config"
	"lab/stand-ins/k3s/internal/fault"
	"lab/stand-ins/k3s/internal/kube"
	"lab/stand-ins/k3s/internal/log"
)

// bucket is an S3 client whose bucket was seen to exist.
type bucket struct {
	client  *minio.Client
	s3      config.S3
	program string
	// headers go with every upload, without X-Amz-Meta-.
	headers map[string]string
}

// opened buckets are used again without another look, for as long as their settings stay the same.
var opened sync.Map

func (m *Manager) openBucket(ctx context.Context) (*bucket, error) {
	settings, err := m.s3Settings(ctx)
	if err != nil {
		return nil, err
	}
	if known, ok := opened.Load(settings); ok {
		log.Infof("Reusing cached S3 client for endpoint=%q bucket=%q folder=%q", scheme(settings)+settings.Endpoint, settings.Bucket, settings.Folder)
		return known.(*bucket), nil
	}
	b, err := openBucket(ctx, settings)
	if err != nil {
		return nil, err
	}
	b.program = m.node.Personality.Program
	if !m.node.Personality.Old() && m.node.Objects != nil {
		id, err := m.node.Objects.ClusterID(ctx)
		if err != nil {
			return nil, fmt.Errorf("failed to set S3 snapshot cluster ID: %w", err)
		}
		b.headers = map[string]string{b.header("cluster-id"): id, b.header("node-name"): m.node.Name, b.header("token-hash"): TokenHash(m.node.TokenPassword)}
	}
	log.Infof("Adding S3 client to cache")
	opened.Store(settings, b)
	return b, nil
}

// s3Settings are those given, or those of the Secret when nothing but its name is given.
func (m *Manager) s3Settings(ctx context.Context) (config.S3, error) {
	given := *m.options.S3
	standard := config.DefaultS3()
	standard.ConfigSecret, standard.Retention = given.ConfigSecret, given.Retention
	if given != standard {
		if given.ConfigSecret != "" {
			log.Warnf("Ignoring s3 configuration from etcd-s3-config-secret %q due to existing configuration from CLI or config file", given.ConfigSecret)
		}
		return given, nil
	}
	if given.ConfigSecret == "" {
		return given, errors.New("s3 configuration was not set")
	}
	secret, err := m.node.Objects.Get(ctx, "secrets", "kube-system", given.ConfigSecret)
	if err != nil {
		return given, fmt.Errorf("failed to get config from etcd-s3-config-secret %q: secrets %q %w", given.ConfigSecret, given.ConfigSecret, err)
	}
	log.Infof("Using etcd s3 configuration from etcd-s3-config-secret %q", given.ConfigSecret)
	s3 := fromSecret(secret)
	if name := base64Text(secret, "etcd-s3-endpoint-ca-name"); name != "" {
		bundles, err := m.node.Objects.Get(ctx, "configmaps", "kube-system", name)
		if err != nil {
			return given, fmt.Errorf("failed to get ca from etcd-s3-endpoint-ca-name %q: %w", name, err)
		}
		for key := range kube.Child(bundles, "data") {
			s3.EndpointCA += " " + base64.StdEncoding.EncodeToString([]byte(kube.Text(bundles, "data", key)))
		}
	}
	return s3, nil
}

func base64Text(secret kube.Object, name string) string {
	text, _ := base64.StdEncoding.DecodeString(kube.Text(secret, "data", name))
	return string(text)
}

// fromSecret leaves Retention at 0, as K3s does: with a Secret nothing in S3 is ever pruned.
func fromSecret(secret kube.Object) config.S3 {
	value := func(name string) string { return base64Text(secret, "etcd-s3-"+name) }
	s3 := config.DefaultS3()
	s3.AccessKey, s3.SecretKey, s3.SessionToken = value("access-key"), value("secret-key"), value("session-token")
	s3.Bucket, s3.BucketLookup, s3.Folder, s3.Proxy = value("bucket"), value("bucket-lookup-type"), value("folder"), value("proxy")
	s3.Endpoint, s3.Region = or(value("endpoint"), s3.Endpoint), or(value("region"), s3.Region)
	s3.Insecure, _ = strconv.ParseBool(value("insecure"))
	s3.SkipSSLVerify, _ = strconv.ParseBool(value("skip-ssl-verify"))
	if ca := value("endpoint-ca"); ca != "" {
		s3.EndpointCA = base64.StdEncoding.EncodeToString([]byte(ca))
	}
	if timeout, err := time.ParseDuration(value("timeout")); err == nil {
		s3.Timeout = timeout
	}
	return s3
}

func openBucket(ctx context.Context, s3 config.S3) (*bucket, error) {
	log.Infof("Attempting to create new S3 client for endpoint=%q bucket=%q folder=%q", scheme(s3)+s3.Endpoint, s3.Bucket, s3.Folder)
	if s3.Bucket == "" {
		return nil, errors.New("s3 bucket name was not set")
	}
	transport, err := transportTo(s3)
	if err != nil {
		return nil, err
	}
	keys := credentials.NewChainCredentials([]credentials.Provider{
		&credentials.Static{Value: credentials.Value{AccessKeyID: s3.AccessKey, SecretAccessKey: s3.SecretKey, SessionToken: s3.SessionToken, SignerType: credentials.SignatureV4}},
		&credentials.FileAWSCredentials{},
		&credentials.IAM{},
	})
	lookup := map[string]minio.BucketLookupType{"dns": minio.BucketLookupDNS, "path": minio.BucketLookupPath}[s3.BucketLookup]
	client, err := minio.New(s3.Endpoint, &minio.Options{Creds: keys, Secure: !s3.Insecure, Region: s3.Region, Transport: transport, BucketLookup: lookup})
	if err != nil {
		return nil, err
	}
	log.Infof("Checking if S3 bucket %s exists", s3.Bucket)
	ctx, cancel := context.WithTimeout(ctx, s3.Timeout)
	defer cancel()
	exists, err := client.BucketExists(ctx, s3.Bucket)
	if err != nil {
		return nil, fmt.Errorf("failed to test for existence of bucket %s: %w", s3.Bucket, err)
	}
	if !exists {
		return nil, fmt.Errorf("bucket %s does not exist", s3.Bucket)
	}
	log.Infof("S3 bucket %s exists", s3.Bucket)
	return &bucket{client: client, s3: s3}, nil
}

func transportTo(s3 config.S3) (*http.Transport, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableCompression = true
	if s3.SkipSSLVerify {
		transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
	} else if s3.EndpointCA != "" {
		// A list of files or of base64; it takes the place of the system's authorities.
		pool := x509.NewCertPool()
		for _, ca := range strings.Fields(s3.EndpointCA) {
			pem, err := base64.StdEncoding.DecodeString(ca)
			if err != nil {
				if pem, err = os.ReadFile(ca); err != nil {
					return nil, err
				}
			}
			if !pool.AppendCertsFromPEM(pem) {
				return nil, errors.New("no certificates loaded from etcd-s3-endpoint-ca")
			}
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	if s3.Proxy == "none" {
		transport.Proxy = nil
	} else if s3.Proxy != "" {
		proxy, err := url.Parse(s3.Proxy)
		if err != nil {
			return nil, fmt.Errorf("failed to parse etcd-s3-proxy value as URL: %w", err)
		}
		if proxy.Scheme == "" || proxy.Host == "" {
			return nil, errors.New("proxy URL must include scheme and host")
		}
		transport.Proxy = http.ProxyURL(proxy)
	}
	return transport, nil
}

func scheme(s3 config.S3) string {
	if s3.Insecure {
		return "http://"
	}
	return "https://"
}

// header is a name of user metadata as it comes back from S3.
func (b *bucket) header(name string) string {
	return http.CanonicalHeaderKey(b.program + "-" + name)
}

func (b *bucket) key(name string) string { return path.Join(b.s3.Folder, name) }

func (b *bucket) upload(ctx context.Context, path string, now time.Time) (file, error) {
	name := filepath.Base(path)
	saved := file{name: name, location: "s3://" + b.s3.Bucket + "/" + b.key(name), node: "s3", created: now, s3: &b.s3}
	log.Infof("Uploading snapshot to %s", saved.location)
	ctx, cancel := context.WithTimeout(ctx, b.s3.Timeout)
	defer cancel()
	size, err := b.put(ctx, path, b.key(name))
	if err != nil {
		return saved, err
	}
	saved.size, saved.tokenHash = size, b.headers[b.header("token-hash")]
	if _, err := os.Stat(metadataPath(path)); err == nil {
		if _, err := b.client.FPutObject(ctx, b.s3.Bucket, b.key(".metadata/"+name), metadataPath(path), minio.PutObjectOptions{ContentType: "application/json", UserMetadata: b.headers}); err != nil {
			log.Warnf("Failed to upload snapshot metadata to S3: %v", err)
		}
	}
	return saved, nil
}

// put uploads a file, unless a fault is on.
func (b *bucket) put(ctx context.Context, path, key string) (int64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	if message, fails := fault.On("upload-fails"); fails {
		return 0, errors.New(or(message, "Access Denied."))
	}
	if _, lies := fault.On("upload-lies"); lies {
		return info.Size(), nil
	}
	options := minio.PutObjectOptions{NumThreads: 2, UserMetadata: b.headers, ContentType: "application/octet-stream"}
	if strings.HasSuffix(key, ".zip") {
		options.ContentType = "application/zip"
	}
	if _, short := fault.On("upload-short"); short {
		in, err := os.Open(path)
		if err != nil {
			return 0, err
		}
		defer in.Close()
		_, err = b.client.PutObject(ctx, b.s3.Bucket, key, in, info.Size()/2, options)
		return info.Size(), err
	}
	done, err := b.client.FPutObject(ctx, b.s3.Bucket, key, path, options)
	return done.Size, err
}

// objects lists every object whose key begins with a prefix: `cl` finds cl-a/… too.
func (b *bucket) objects(ctx context.Context, prefix string) ([]minio.ObjectInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, b.s3.Timeout)
	defer cancel()
	var objects []minio.ObjectInfo
	for object := range b.client.ListObjects(ctx, b.s3.Bucket, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
		if object.Err != nil {
			return nil, object.Err
		}
		if path.Base(path.Dir(object.Key)) != ".metadata" && !strings.HasSuffix(object.Key, "/") {
			objects = append(objects, object)
		}
	}
	return objects, nil
}

func (b *bucket) files(ctx context.Context) ([]file, error) {
	objects, err := b.objects(ctx, b.s3.Folder)
	if err != nil {
		return nil, err
	}
	var files []file
	for _, object := range objects {
		info, err := b.client.StatObject(ctx, b.s3.Bucket, object.Key, minio.StatObjectOptions{})
		if err != nil {
			return nil, err
		}
		created, named := timeIn(object.Key)
		if !named {
			created = object.LastModified
		}
		files = append(files, file{name: path.Base(object.Key), location: "s3://" + b.s3.Bucket + "/" + object.Key, node: "s3", created: created,
			size: object.Size, s3: &b.s3, tokenHash: info.UserMetadata[b.header("token-hash")]})
	}
	return files, nil
}

// retention keeps the newest objects below folder and name, of all nodes and all clusters that share them.
func (b *bucket) retention(ctx context.Context, name string) ([]string, error) {
	if b.s3.Retention < 1 {
		return nil, nil
	}
	log.Infof("Applying snapshot retention=%d to snapshots stored in s3://%s/%s", b.s3.Retention, b.s3.Bucket, b.key(name))
	objects, err := b.objects(ctx, b.key(name))
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(objects, func(a, b minio.ObjectInfo) int { return b.LastModified.Compare(a.LastModified) })
	var deleted []string
	for _, object := range objects[min(b.s3.Retention, len(objects)):] {
		log.Infof("Removing S3 snapshot: s3://%s/%s", b.s3.Bucket, object.Key)
		if err := b.delete(ctx, path.Base(object.Key)); err != nil && !isMissing(err) {
			return deleted, err
		}
		deleted = append(deleted, path.Base(object.Key))
	}
	return deleted, nil
}

// delete removes an object and its metadata; the error says so when there was none.
func (b *bucket) delete(ctx context.Context, name string) error {
	_, err := b.client.StatObject(ctx, b.s3.Bucket, b.key(name), minio.StatObjectOptions{})
	if err == nil {
		err = b.client.RemoveObject(ctx, b.s3.Bucket, b.key(name), minio.RemoveObjectOptions{})
	}
	b.client.RemoveObject(ctx, b.s3.Bucket, b.key(".metadata/"+name), minio.RemoveObjectOptions{})
	return err
}

func isMissing(err error) bool {
	return minio.ToErrorResponse(err).StatusCode == http.StatusNotFound
}

// Download fetches a snapshot from S3 into the snapshot folder for a restore and returns its path.
func Download(ctx context.Context, options *config.Options, name string) (string, error) {
	log.Infof("Retrieving etcd snapshot %s from S3", name)
	settings := *options.S3
	standard := config.DefaultS3()
	standard.ConfigSecret, standard.Retention = settings.ConfigSecret, settings.Retention
	if settings == standard && settings.ConfigSecret != "" {
		return "", errors.New("cannot use S3 config secret when restoring snapshot; configuration must be set in CLI or config file")
	}
	if settings == standard {
		return "", errors.New("failed to initialize S3 client: s3 configuration was not set")
	}
	b, err := openBucket(ctx, settings)
	if err != nil {
		return "", fmt.Errorf("failed to initialize S3 client: %w", err)
	}
	log.Infof("Adding S3 client to cache")
	dir, err := folder(options, true)
	if err != nil {
		return "", err
	}
	target := filepath.Join(dir, name)
	ctx, cancel := context.WithTimeout(ctx, settings.Timeout)
	defer cancel()
	if err := b.client.FGetObject(ctx, settings.Bucket, b.key(name), target, minio.GetObjectOptions{}); err != nil {
		return "", fmt.Errorf("failed to download snapshot from S3: %w", err)
	}
	b.client.FGetObject(ctx, settings.Bucket, b.key(".metadata/"+name), metadataPath(target), minio.GetObjectOptions{})
	log.Infof("S3 download complete for %s", target)
	return target, os.Chmod(target, 0o600)
}
