package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// The certificate authorities of a cluster, by their path below server/tls without suffix, and the words in their names.
var authorities = map[string]string{
	"server-ca":         "server-ca",
	"client-ca":         "client-ca",
	"request-header-ca": "request-header-ca",
	"etcd/server-ca":    "etcd-server-ca",
	"etcd/peer-ca":      "etcd-peer-ca",
}

type leaf struct{ authority, path, commonName, organization string }

// What is signed anew at every start.
var leaves = []leaf{
	{"server-ca", "serving-kube-apiserver", "kube-apiserver", ""},
	{"client-ca", "client-admin", "system:admin", "system:masters"},
	{"client-ca", "client-supervisor", "system:supervisor", "system:masters"},
	{"etcd/server-ca", "etcd/client", "etcd-client", ""},
	{"etcd/server-ca", "etcd/server-client", "etcd-server", ""},
	{"etcd/peer-ca", "etcd/peer-server-client", "etcd-peer", ""},
}

// ensureAuthorities makes the authorities that are missing on disk.
func (d paths) ensureAuthorities(program string) error {
	for path, name := range authorities {
		if exists(d.tls(path+".key")) && exists(d.tls(path+".crt")) {
			continue
		}
		template := &x509.Certificate{
			Subject:               pkix.Name{CommonName: fmt.Sprintf("%s-%s@%d", program, name, time.Now().Unix())},
			NotAfter:              time.Now().AddDate(10, 0, 0),
			KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment | x509.KeyUsageCertSign,
			IsCA:                  true,
			BasicConstraintsValid: true,
		}
		if err := issue(template, nil, d.tls(path)); err != nil {
			return err
		}
	}
	if exists(d.tls("service.key")) {
		return nil
	}
	_, key, err := newKey()
	if err != nil {
		return err
	}
	return os.WriteFile(d.tls("service.key"), key, 0o600)
}

// signLeaves makes the certificates of this server, valid for its own names.
func (d paths) signLeaves(node, ip string, more []string) error {
	names := append([]string{node, "localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"}, more...)
	addresses := []net.IP{net.ParseIP("127.0.0.1"), net.ParseIP("::1"), net.ParseIP("10.43.0.1"), net.ParseIP(ip)}
	for _, name := range more {
		if address := net.ParseIP(name); address != nil {
			addresses = append(addresses, address)
		}
	}
	for _, leaf := range leaves {
		authority, err := tls.LoadX509KeyPair(d.tls(leaf.authority+".crt"), d.tls(leaf.authority+".key"))
		if err != nil {
			return err
		}
		template := &x509.Certificate{
			Subject:     pkix.Name{CommonName: leaf.commonName},
			NotAfter:    time.Now().AddDate(1, 0, 0),
			KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
			DNSNames:    names,
			IPAddresses: addresses,
		}
		if leaf.organization != "" {
			template.Subject.Organization = []string{leaf.organization}
		}
		if err := issue(template, &authority, d.tls(leaf.path)); err != nil {
			return err
		}
	}
	return nil
}

// issue writes <path>.crt and <path>.key, signed by the authority or, without one, by itself.
func issue(template *x509.Certificate, authority *tls.Certificate, path string) error {
	key, keyPEM, err := newKey()
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return err
	}
	template.SerialNumber, template.NotBefore = serial, time.Now().Add(-time.Minute)
	parent, signer := template, any(key)
	if authority != nil {
		parent, signer = authority.Leaf, authority.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		return err
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(path+".key", keyPEM, 0o600); err != nil {
		return err
	}
	return os.WriteFile(path+".crt", certificate, 0o644)
}

func newKey() (*ecdsa.PrivateKey, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	return key, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), nil
}
