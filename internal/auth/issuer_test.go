package auth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"

	"accountexport/events"
	"accountexport/internal/auth/authtest"
)

const sharedSecret = "super-secret-jwt-token-with-at-least-32-characters-long"

func account(t *testing.T) events.UUID {
	t.Helper()
	id, err := events.ParseUUID("3c90c3cc-0d44-4b50-8888-8dd25736052a")
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// issuer is a JWKS endpoint on a real socket.
type issuer struct {
	*httptest.Server
	fetches chan struct{} // a value for each request

	mu     sync.Mutex
	answer func(w http.ResponseWriter)
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{fetches: make(chan struct{}, 1000)}
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.mu.Lock()
		answer := i.answer
		i.mu.Unlock()
		answer(w)
		i.fetches <- struct{}{}
	}))
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) answerWith(f func(w http.ResponseWriter)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.answer = f
}

func (i *issuer) publishes(t *testing.T, keys ...signer) {
	t.Helper()
	var set jwkset.JWKSMarshal
	for _, k := range keys {
		jwk, err := jwkset.NewJWKFromKey(k.key.(crypto.Signer).Public(), jwkset.JWKOptions{
			Metadata: jwkset.JWKMetadataOptions{KID: k.kid, ALG: jwkset.ALG(k.method.Alg()), USE: jwkset.UseSig}})
		if err != nil {
			t.Fatal(err)
		}
		set.Keys = append(set.Keys, jwk.Marshal())
	}
	body, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	i.answerWith(func(w http.ResponseWriter) { _, _ = w.Write(body) })
}

type signer struct {
	kid    string
	method jwt.SigningMethod
	key    any
}

func ecKey(t *testing.T, kid string, curve elliptic.Curve, method jwt.SigningMethod) signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signer{kid, method, k}
}

func es256(t *testing.T, kid string) signer {
	return ecKey(t, kid, elliptic.P256(), jwt.SigningMethodES256)
}

func rs256(t *testing.T, kid string) signer {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return signer{kid, jwt.SigningMethodRS256, k}
}

func edDSA(t *testing.T, kid string) signer {
	t.Helper()
	_, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signer{kid, jwt.SigningMethodEdDSA, k}
}

// sign creates a token; edit may change header and claims before it is signed.
func (s signer) sign(t *testing.T, issuer string, edit func(header map[string]any, c jwt.MapClaims)) string {
	t.Helper()
	token := jwt.NewWithClaims(s.method, authtest.Claims(issuer, account(t), "a@example.com", time.Hour))
	if s.kid != "" {
		token.Header["kid"] = s.kid
	}
	if edit != nil {
		edit(token.Header, token.Claims.(jwt.MapClaims))
	}
	out, err := token.SignedString(s.key)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (s signer) bare(t *testing.T, issuer string) string {
	return s.sign(t, issuer, func(h map[string]any, _ jwt.MapClaims) { delete(h, "kid") })
}

// start creates a verifier for the issuer and runs it.
func start(t *testing.T, c Config) *Verifier {
	t.Helper()
	c.Issuer, c.Audience = "https://p.supabase.co/auth/v1", "authenticated"
	v, err := New(c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- v.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return v
}
