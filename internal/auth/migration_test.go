package auth

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"

	"accountexport/internal/local/testrun"
)

// TestProjectThatMigrates: with a secret and a key set, tokens of both are accepted,
// each only by its own key.
func TestProjectThatMigrates(t *testing.T) {
	ec, rsa := es256(t, "ec"), rs256(t, "rsa")
	i := newIssuer(t)
	i.publishes(t, ec, rsa)
	v := start(t, Config{JWKSURL: i.URL, Secret: sharedSecret})
	if !v.Ready() || v.Check(t.Context()) != nil {
		t.Error("with a secret it is ready at once")
	}
	testrun.Eventually(t, "the key set is there", v.keys.(secretAndJWKS).fetched.Load)
	shared := func(kid string, m jwt.SigningMethod) string {
		return signer{kid, m, []byte(sharedSecret)}.sign(t, iss, nil)
	}
	unsigned := strings.Split(ec.sign(t, iss, nil), ".")[1]
	header := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	for _, test := range []struct{ name, token, want string }{
		{"HS256 by the secret, no kid", shared("", jwt.SigningMethodHS256), "ok"},
		{"HS256 by the secret, a kid of its own", shared("legacy", jwt.SigningMethodHS256), "ok"},
		{"HS256 by the secret, a kid of the key set", shared("ec", jwt.SigningMethodHS256), "ok"},
		{"ES256", ec.sign(t, iss, nil), "ok"},
		{"RS256", rsa.sign(t, iss, nil), "ok"},
		{"ES256, no kid", ec.bare(t, iss), "ok"},
		{"HS512 by the secret", shared("", jwt.SigningMethodHS512), "bad_signature"},
		{"HS384 by the secret, a kid of the key set", shared("ec", jwt.SigningMethodHS384), "bad_signature"},
		{"HS256 by another secret, a kid of the key set", signer{"ec", jwt.SigningMethodHS256, []byte("other")}.sign(t, iss, nil), "bad_signature"},
		{"HS256 by nothing", signer{"ec", jwt.SigningMethodHS256, []byte{}}.sign(t, iss, nil), "bad_signature"},
		{"ES256 by another's key", es256(t, "ec").sign(t, iss, nil), "bad_signature"},
		{"RS256 by a kid of an EC key", signer{"ec", rsa.method, rsa.key}.sign(t, iss, nil), "bad_signature"},
		{"PS256", signer{"rsa", jwt.SigningMethodPS256, rsa.key}.sign(t, iss, nil), "bad_signature"},
		{"ES256 by an unknown kid", es256(t, "stranger").sign(t, iss, nil), "unknown_key"},
		{"none", header(`{"alg":"none"}`) + "." + unsigned + ".", "bad_signature"},
		{"none, a kid of the key set", header(`{"alg":"none","kid":"ec"}`) + "." + unsigned + ".", "bad_signature"},
		{"None", header(`{"alg":"None"}`) + "." + unsigned + ".", "bad_signature"},
		{"hs256", header(`{"alg":"hs256"}`) + "." + unsigned + ".AA", "bad_signature"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := v.Verify(t.Context(), test.token); reason(err) != test.want {
				t.Errorf("got %s (%v), want %s", reason(err), err, test.want)
			}
		})
	}
	for _, k := range []signer{ec, rsa} { // every spelling of a public key, used as the secret
		for _, spelt := range spellings(t, k) {
			for _, kid := range []string{"", "ec", "rsa", "x"} {
				for _, m := range []jwt.SigningMethod{jwt.SigningMethodHS256, jwt.SigningMethodHS384, jwt.SigningMethodHS512} {
					if _, err := v.Verify(t.Context(), signer{kid, m, spelt}.sign(t, iss, nil)); reason(err) != "bad_signature" {
						t.Errorf("%s by the public key of %s, kid %q: got %v", m.Alg(), k.kid, kid, err)
					}
				}
			}
		}
	}
}

// spellings returns the forms in which a public key is published.
func spellings(t *testing.T, k signer) [][]byte {
	t.Helper()
	public := k.key.(crypto.Signer).Public()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	jwk, err := jwkset.NewJWKFromKey(public, jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{KID: k.kid}})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(jwk.Marshal())
	if err != nil {
		t.Fatal(err)
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	random := make([]byte, 32)
	_, _ = rand.Read(random)
	return [][]byte{der, block, bytes.TrimSpace(block), text, []byte(k.kid), random}
}

// TestSecretNeedsNoKeySet: where the key set cannot be had, tokens of the secret
// are served, and of the others it is said that they cannot be checked; an issuer
// that publishes none yet has signed none of them. Neither fills the log.
func TestSecretNeedsNoKeySet(t *testing.T) {
	ec := es256(t, "ec")
	i := newIssuer(t)
	i.answerWith(func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadGateway) })
	var log bytes.Buffer
	v, err := New(Config{Issuer: iss, Audience: "authenticated", JWKSURL: i.URL, Secret: sharedSecret}, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- v.Run(ctx) }()
	<-i.fetches
	<-i.fetches
	expect := func(what, token, want string) {
		t.Helper()
		if _, err := v.Verify(t.Context(), token); reason(err) != want {
			t.Errorf("%s: got %v, want %s", what, err, want)
		}
	}
	hs := signer{"", jwt.SigningMethodHS256, []byte(sharedSecret)}
	if !v.Ready() {
		t.Error("not ready, with a secret")
	}
	expect("of the secret", hs.sign(t, iss, nil), "ok")
	expect("of the key set", ec.sign(t, iss, nil), "keys_unavailable")

	i.answerWith(func(w http.ResponseWriter) { _, _ = io.WriteString(w, `{"keys":[]}`) })
	testrun.Eventually(t, "it is known that there are none", v.keys.(secretAndJWKS).fetched.Load)
	expect("of the secret", hs.sign(t, iss, nil), "ok")
	expect("of a key set without keys, no kid", ec.bare(t, iss), "bad_signature")
	i.publishes(t, ec)
	expect("of the first key", ec.sign(t, iss, nil), "ok") // its kid is fetched at once
	expect("of the secret", hs.sign(t, iss, nil), "ok")
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if n := strings.Count(log.String(), "level=WARN"); n != 1 {
		t.Errorf("%d warnings, want one for the time without keys: %s", n, log.String())
	}
}
