package server

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"lab/stand-ins/k3s/internal/log"
)

// bootstrapFile is one file of the bootstrap data: what every server of a cluster must share.
type bootstrapFile struct {
	Timestamp time.Time
	Content   []byte
}

// bootstrap is the data by K3s's name of the file.
type bootstrap map[string]bootstrapFile

var errOtherToken = errors.New("bootstrap data already found and encrypted with different token")

func (d paths) bootstrapPaths() map[string]string {
	return map[string]string{
		"ServerCA": d.tls("server-ca.crt"), "ServerCAKey": d.tls("server-ca.key"),
		"ClientCA": d.tls("client-ca.crt"), "ClientCAKey": d.tls("client-ca.key"),
		"RequestHeaderCA": d.tls("request-header-ca.crt"), "RequestHeaderCAKey": d.tls("request-header-ca.key"),
		"ETCDServerCA": d.tls("etcd", "server-ca.crt"), "ETCDServerCAKey": d.tls("etcd", "server-ca.key"),
		"ETCDPeerCA": d.tls("etcd", "peer-ca.crt"), "ETCDPeerCAKey": d.tls("etcd", "peer-ca.key"),
		"ServiceKey": d.tls("service.key"),
	}
}

func (d paths) readBootstrap() (bootstrap, error) {
	read := bootstrap{}
	for name, path := range d.bootstrapPaths() {
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		read[name] = bootstrapFile{info.ModTime(), content}
	}
	return read, nil
}

// writeBootstrap overwrites what differs on disk.
func (d paths) writeBootstrap(data bootstrap) error {
	for name, path := range d.bootstrapPaths() {
		file, found := data[name]
		if present, err := os.ReadFile(path); !found || err == nil && bytes.Equal(present, file.Content) {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(path, file.Content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// bootstrapKey is /bootstrap/ and 12 hexadecimal digits of the SHA-256 of the token's password.
func bootstrapKey(password string) string {
	sum := sha256.Sum256([]byte(password))
	return "/bootstrap/" + hex.EncodeToString(sum[:])[:12]
}

// saveBootstrap writes the data into a new cluster. It fails when the cluster's data is encrypted with another token.
func saveBootstrap(ctx context.Context, client *clientv3.Client, password string, data bootstrap) error {
	log.Infof("Saving cluster bootstrap data to datastore")
	if _, err := loadBootstrap(ctx, client, password); err == nil {
		log.Warnf("Bootstrap key already exists")
		return nil
	} else if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	plain, err := json.Marshal(data)
	if err != nil {
		return err
	}
	sealed, err := encrypt(password, plain)
	if err != nil {
		return err
	}
	_, err = client.Put(ctx, bootstrapKey(password), sealed)
	return err
}

// loadBootstrap reads the data. It fails with os.ErrNotExist when there is none, and with errOtherToken.
func loadBootstrap(ctx context.Context, client *clientv3.Client, password string) (bootstrap, error) {
	answer, err := client.Get(ctx, "/bootstrap/", clientv3.WithPrefix())
	if err != nil {
		return nil, err
	}
	if len(answer.Kvs) == 0 {
		return nil, os.ErrNotExist
	}
	for _, kv := range answer.Kvs {
		if string(kv.Key) != bootstrapKey(password) {
			continue
		}
		plain, err := decrypt(password, string(kv.Value))
		if err != nil {
			return nil, err
		}
		data := bootstrap{}
		return data, json.Unmarshal(plain, &data)
	}
	return nil, errOtherToken
}

func encrypt(password string, plain []byte) (string, error) {
	salt := randomHex(8)
	seal, err := sealer(password, salt)
	if err != nil {
		return "", err
	}
	nonce := make([]byte, seal.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return "", err
	}
	return salt + ":" + base64.StdEncoding.EncodeToString(seal.Seal(nonce, nonce, plain, nil)), nil
}

func decrypt(password, text string) ([]byte, error) {
	salt, encoded, _ := strings.Cut(text, ":")
	sealed, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, err
	}
	seal, err := sealer(password, salt)
	if err != nil {
		return nil, err
	}
	if len(sealed) < seal.NonceSize() {
		return nil, errors.New("invalid cipher text, not : delimited")
	}
	return seal.Open(nil, sealed[:seal.NonceSize()], sealed[seal.NonceSize():], nil)
}

func sealer(password, salt string) (cipher.AEAD, error) {
	key, err := pbkdf2.Key(sha1.New, password, []byte(salt), 4096, 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
