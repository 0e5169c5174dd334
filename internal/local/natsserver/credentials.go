package natsserver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"
)

// Certificates are the files of a test's own certificate authority, and of
// certificates that it issued.
type Certificates struct {
	CA                    string
	ServerCert, ServerKey string // for 127.0.0.1
	ClientCert, ClientKey string
}

// CertificatesForTest creates certificates, which are removed when the test ends.
func CertificatesForTest(t testing.TB) (c Certificates) {
	t.Helper()
	dir := t.TempDir()
	caKey := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	template := func(n int64, name string) *x509.Certificate {
		return &x509.Certificate{SerialNumber: big.NewInt(n), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour),
			NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true}
	}
	ca := template(1, "a test's authority")
	ca.IsCA, ca.KeyUsage = true, x509.KeyUsageCertSign
	c.CA = file(t, dir, "ca.pem", "CERTIFICATE", must(x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey))(t))
	issue := func(n int64, name string, usage x509.ExtKeyUsage) (cert, key string) {
		private := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
		leaf := template(n, name)
		leaf.ExtKeyUsage, leaf.IPAddresses = []x509.ExtKeyUsage{usage}, []net.IP{net.IPv4(127, 0, 0, 1)}
		return file(t, dir, name+".pem", "CERTIFICATE", must(x509.CreateCertificate(rand.Reader, leaf, ca, private.Public(), caKey))(t)),
			file(t, dir, name+"-key.pem", "PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(private))(t))
	}
	c.ServerCert, c.ServerKey = issue(2, "server", x509.ExtKeyUsageServerAuth)
	c.ClientCert, c.ClientKey = issue(3, "client", x509.ExtKeyUsageClientAuth)
	return c
}

// TLS is a server configuration with these certificates. With verify it requires a
// client certificate.
func (c Certificates) TLS(verify bool) string {
	return fmt.Sprintf("tls { cert_file: %q, key_file: %q, ca_file: %q, verify: %v }\n", c.ServerCert, c.ServerKey, c.CA, verify)
}

// NKeyForTest creates a user's nkey: a file with its seed, and the public key.
func NKeyForTest(t testing.TB) (seedFile, public string) {
	t.Helper()
	user := must(nkeys.CreateUser())(t)
	path := filepath.Join(t.TempDir(), "user.nk")
	write(t, path, must(user.Seed())(t))
	return path, must(user.PublicKey())(t)
}

// CredsForTest creates a credentials file, and the configuration of a server with
// JetStream that knows its user. change may change the user's account.
func CredsForTest(t testing.TB, change ...func(*jwt.AccountClaims)) (path, config string) {
	t.Helper()
	operator, system, account, user := must(nkeys.CreateOperator())(t), must(nkeys.CreateAccount())(t), must(nkeys.CreateAccount())(t), must(nkeys.CreateUser())(t)
	public := func(k nkeys.KeyPair) string { return must(k.PublicKey())(t) }
	a := jwt.NewAccountClaims(public(account))
	a.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: jwt.NoLimit, DiskStorage: jwt.NoLimit, Streams: jwt.NoLimit, Consumer: jwt.NoLimit}
	for _, c := range change {
		c(a)
	}
	accountJWT := must(a.Encode(operator))(t)
	systemJWT := must(jwt.NewAccountClaims(public(system)).Encode(operator))(t)
	o := jwt.NewOperatorClaims(public(operator))
	o.SystemAccount = public(system)
	config = fmt.Sprintf("jetstream: enabled\noperator: %q\nresolver: MEMORY\nresolver_preload { %s: %q, %s: %q }\n", must(o.Encode(operator))(t),
		public(account), accountJWT, public(system), systemJWT)
	creds := must(jwt.FormatUserConfig(must(jwt.NewUserClaims(public(user)).Encode(account))(t), must(user.Seed())(t)))(t)
	path = filepath.Join(t.TempDir(), "user.creds")
	write(t, path, creds)
	return path, config
}

func must[T any](v T, err error) func(t testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func file(t testing.TB, dir, name, kind string, der []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	write(t, path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	return path
}

func write(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
