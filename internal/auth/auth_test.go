package auth

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"accountexport/internal/auth/authtest"
	"accountexport/internal/local/testrun"
)

const iss = "https://p.supabase.co/auth/v1"

func reason(err error) string {
	var f *Failure
	if err == nil {
		return "ok"
	}
	if !errors.As(err, &f) {
		return "not a failure: " + err.Error()
	}
	return f.Reason
}

func TestMintedTokenIsAccepted(t *testing.T) {
	v := start(t, Config{Secret: sharedSecret})
	token, err := authtest.Mint(sharedSecret, iss, account(t), "a@example.com", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time from the cache
		id, err := v.Verify(t.Context(), token)
		if err != nil || id.Account != account(t) || time.Until(id.Expires) > time.Hour {
			t.Errorf("got %v, %v", id, err)
		}
	}
	if !v.Ready() {
		t.Error("with a secret it is ready at once")
	}
}

func TestClaims(t *testing.T) {
	now := time.Now()
	v := start(t, Config{Secret: sharedSecret, OAuthClients: []string{"known"}, Now: func() time.Time { return now }})
	at := func(d time.Duration) int64 { return now.Add(d).Unix() }
	s := signer{"", jwt.SigningMethodHS256, []byte(sharedSecret)}
	service := func(role, issuer string) func(jwt.MapClaims) {
		return func(c jwt.MapClaims) {
			clear(c)
			c["iss"], c["role"], c["ref"], c["iat"], c["exp"] = issuer, role, "p", at(0), at(87600*time.Hour)
		}
	}
	set := func(name string, value any) func(jwt.MapClaims) { return func(c jwt.MapClaims) { c[name] = value } }
	without := func(name string) func(jwt.MapClaims) { return func(c jwt.MapClaims) { delete(c, name) } }
	for _, test := range []struct {
		name string
		edit func(jwt.MapClaims)
		want string
	}{
		{"expired within the leeway", set("exp", at(-59*time.Second)), "ok"},
		{"expired beyond the leeway", set("exp", at(-61*time.Second)), "expired"},
		{"exp missing", without("exp"), "malformed"},
		{"exp null", set("exp", nil), "malformed"},
		{"exp no number", set("exp", "soon"), "malformed"},
		{"exp a number as text", set("exp", strconv.FormatInt(at(time.Hour), 10)), "malformed"},
		{"exp a number as text, expired", set("exp", "1"), "malformed"},
		{"exp a list", set("exp", []int64{at(time.Hour)}), "malformed"},
		{"exp true", set("exp", true), "malformed"},
		{"exp with a fraction", set("exp", float64(at(time.Hour))+0.5), "ok"},
		{"nbf a number as text", set("nbf", strconv.FormatInt(at(0), 10)), "malformed"},
		{"exp negative", set("exp", -1), "expired"},
		{"nbf within the leeway", set("nbf", at(59*time.Second)), "ok"},
		{"nbf beyond the leeway", set("nbf", at(62*time.Second)), "not_yet_valid"},
		{"iat in the future", set("iat", at(time.Hour)), "ok"},
		{"iat missing", without("iat"), "ok"},
		{"iat nonsense", set("iat", "x"), "ok"},
		{"another issuer", set("iss", "https://q.supabase.co/auth/v1"), "wrong_issuer"},
		{"issuer with a slash", set("iss", iss+"/"), "wrong_issuer"},
		{"issuer missing", without("iss"), "wrong_issuer"},
		{"issuer a list", set("iss", []string{iss}), "malformed"},
		{"audience list", set("aud", []string{"x", "authenticated"}), "ok"},
		{"another audience", set("aud", "x"), "wrong_audience"},
		{"another audience list", set("aud", []string{"x", "y"}), "wrong_audience"},
		{"audience missing", without("aud"), "wrong_audience"},
		{"audience empty", set("aud", ""), "wrong_audience"},
		{"audience of numbers", set("aud", []int{1}), "malformed"},
		{"another role", set("role", "admin"), "wrong_role"},
		{"role missing", without("role"), "wrong_role"},
		{"service role key", service("service_role", "supabase"), "wrong_role"},
		{"anonymous key", service("anon", "supabase"), "wrong_role"},
		{"service role key of a local project", service("service_role", "supabase-demo"), "wrong_role"},
		{"sub in upper case", set("sub", strings.ToUpper(account(t).String())), "ok"},
		{"sub missing", without("sub"), "no_subject"},
		{"sub empty", set("sub", ""), "no_subject"},
		{"sub no UUID", set("sub", "1"), "malformed"},
		{"sub in braces", set("sub", "{"+account(t).String()+"}"), "malformed"},
		{"sub only in another case", func(c jwt.MapClaims) { c["SUB"] = c["sub"]; delete(c, "sub") }, "no_subject"},
		{"third party", set("client_id", "unknown"), "third_party"},
		{"third party without a name", set("client_id", ""), "third_party"},
		{"third party that is allowed", set("client_id", "known"), "ok"},
		{"client_id no text", set("client_id", 7), "malformed"},
		{"anonymous user", set("is_anonymous", true), "ok"},
	} {
		t.Run(test.name, func(t *testing.T) {
			id, err := v.Verify(t.Context(), s.sign(t, iss, func(_ map[string]any, c jwt.MapClaims) { test.edit(c) }))
			if got := reason(err); got != test.want {
				t.Errorf("got %s (%v), want %s", got, err, test.want)
			}
			if err == nil && id.Account != account(t) {
				t.Errorf("got account %s", id.Account)
			}
			if err != nil && id != (Identity{}) {
				t.Error("an identity comes with the error")
			}
		})
	}
}

func TestFormOfTheToken(t *testing.T) {
	v := start(t, Config{Secret: sharedSecret})
	s := signer{"", jwt.SigningMethodHS256, []byte(sharedSecret)}
	good := s.sign(t, iss, nil)
	parts := strings.Split(good, ".")
	segment := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	signed := func(header, payload string) string {
		text := segment(header) + "." + segment(payload)
		sig, err := s.method.Sign(text, s.key)
		if err != nil {
			t.Fatal(err)
		}
		return text + "." + base64.RawURLEncoding.EncodeToString(sig)
	}
	header := func(name string, value any) string {
		return s.sign(t, iss, func(h map[string]any, _ jwt.MapClaims) { h[name] = value })
	}
	for _, test := range []struct{ name, token, want string }{
		{"good", good, "ok"},
		{"empty", "", "malformed"},
		{"one part", "abc", "malformed"},
		{"two parts", parts[0] + "." + parts[1], "malformed"},
		{"four parts", good + ".x", "malformed"},
		{"five parts, as when encrypted", "a.b.c.d.e", "malformed"},
		{"no base64", "%%%." + parts[1] + "." + parts[2], "malformed"},
		{"padded", good + "==", "malformed"},
		{"header no JSON", segment("x") + "." + parts[1] + "." + parts[2], "malformed"},
		{"claims no JSON", signed(`{"alg":"HS256"}`, "x"), "malformed"},
		{"claims a list", signed(`{"alg":"HS256"}`, "[]"), "malformed"},
		{"nested token", signed(`{"alg":"HS256","cty":"JWT"}`, good), "malformed"},
		{"a claim twice", signed(`{"alg":"HS256"}`, `{"sub":"a","sub":"b"}`), "malformed"},
		{"no signature", parts[0] + "." + parts[1] + ".", "bad_signature"},
		{"another token's signature", parts[0] + "." + parts[1] + "." + strings.Split(header("x", 1), ".")[2], "bad_signature"},
		{"changed claims", parts[0] + "." + segment(`{"sub":"x"}`) + "." + parts[2], "bad_signature"},
		{"no alg", signed(`{}`, `{}`), "bad_signature"},
		{"alg no text", signed(`{"alg":1}`, `{}`), "bad_signature"},
		{"alg unknown", signed(`{"alg":"XS256"}`, `{}`), "bad_signature"},
		{"alg none", segment(`{"alg":"none"}`) + "." + parts[1] + ".", "bad_signature"},
		{"alg None with a signature", signed(`{"alg":"None"}`, `{}`), "bad_signature"},
		{"alg in lower case", signed(`{"alg":"hs256"}`, `{}`), "bad_signature"},
		{"another secret", signer{"", jwt.SigningMethodHS256, []byte("x")}.sign(t, iss, nil), "bad_signature"},
		{"HS512 by the same secret", signer{"", jwt.SigningMethodHS512, s.key}.sign(t, iss, nil), "bad_signature"},
		{"ES256 where a secret is set", es256(t, "k").sign(t, iss, nil), "bad_signature"},
		{"crit", header("crit", []string{"exp"}), "malformed"},
		{"crit of unencoded payloads", header("crit", []string{"b64"}), "malformed"},
		{"crit empty", header("crit", []string{}), "malformed"},
		{"its own key in jwk", header("jwk", map[string]any{"kty": "oct", "k": "eA"}), "ok"},
		{"a kid that is a path", header("kid", "../../dev/null"), "ok"},
		{"longest", s.sign(t, iss, func(_ map[string]any, c jwt.MapClaims) { c["x"] = strings.Repeat("a", 11000) }), "ok"},
		{"too long", s.sign(t, iss, func(_ map[string]any, c jwt.MapClaims) { c["x"] = strings.Repeat("a", 12288) }), "malformed"},
		{"a megabyte of dots", strings.Repeat(".", 1<<20), "malformed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := v.Verify(t.Context(), test.token); reason(err) != test.want {
				t.Errorf("got %s (%v), want %s", reason(err), err, test.want)
			}
		})
	}
}

func TestRememberedTokenEndsWithItsTime(t *testing.T) {
	now := time.Now()
	v := start(t, Config{Secret: sharedSecret, Now: func() time.Time { return now }})
	token, err := authtest.Mint(sharedSecret, iss, account(t), "a@example.com", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		forward time.Duration
		want    string
	}{{0, "ok"}, {time.Hour, "ok"}, {58 * time.Second, "ok"}, {3 * time.Second, "expired"}, {0, "expired"}} {
		now = now.Add(step.forward)
		if _, err := v.Verify(t.Context(), token); reason(err) != step.want {
			t.Errorf("%s later: got %v, want %s", step.forward, err, step.want)
		}
	}
	if n := v.cached.Len(); n != 0 {
		t.Errorf("%d ended tokens are remembered", n)
	}
}

func TestRefusedTokensAreNotRemembered(t *testing.T) {
	v := start(t, Config{Secret: sharedSecret})
	for _, token := range []string{"x", signer{"", jwt.SigningMethodHS256, []byte("other")}.sign(t, iss, nil)} {
		if _, err := v.Verify(t.Context(), token); err == nil {
			t.Error("accepted")
		}
	}
	if n := v.cached.Len(); n != 0 {
		t.Errorf("%d refused tokens are remembered", n)
	}
}

func TestRememberedTokensAreBounded(t *testing.T) {
	v := start(t, Config{Secret: sharedSecret})
	for n := range maxCached { // signing that many would take long
		v.cached.Add([sha256.Size]byte{byte(n >> 8), byte(n)}, cachedIdentity{})
	}
	for range 100 {
		token, err := authtest.Mint(sharedSecret, iss, account(t), "a@example.com", time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.Verify(t.Context(), token); err != nil {
			t.Fatal(err)
		}
	}
	if n := v.cached.Len(); n != maxCached {
		t.Errorf("%d tokens are remembered, want %d", n, maxCached)
	}
	if v.cached.Contains([sha256.Size]byte{}) {
		t.Error("the token that was used longest ago is still remembered")
	}
}

// TestPublicKeyIsNoSecret: an attacker, who knows the public key, may sign with any
// spelling of it as if it were the shared secret.
func TestPublicKeyIsNoSecret(t *testing.T) {
	i := newIssuer(t)
	k := rs256(t, "k")
	i.publishes(t, k)
	v := start(t, Config{JWKSURL: i.URL})
	testrun.Eventually(t, "ready", v.Ready)
	der, err := x509.MarshalPKIXPublicKey(k.key.(crypto.Signer).Public())
	if err != nil {
		t.Fatal(err)
	}
	secrets := [][]byte{der, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), {}}
	for _, method := range []jwt.SigningMethod{jwt.SigningMethodHS256, jwt.SigningMethodHS384, jwt.SigningMethodHS512} {
		for _, s := range secrets {
			if _, err := v.Verify(t.Context(), signer{"k", method, s}.sign(t, iss, nil)); reason(err) != "bad_signature" {
				t.Errorf("%s: got %v", method.Alg(), err)
			}
		}
	}
}

func TestReasonsAreDistinct(t *testing.T) {
	all := Reasons()
	slices.Sort(all)
	if n := len(slices.Compact(all)); n != 11 {
		t.Errorf("%d reasons, want 11", n)
	}
}

func BenchmarkVerifyRemembered(b *testing.B) {
	v, err := New(Config{Issuer: iss, Audience: "authenticated", Secret: sharedSecret}, nil)
	if err != nil {
		b.Fatal(err)
	}
	token, err := authtest.Mint(sharedSecret, iss, [16]byte{1}, "a@example.com", time.Hour)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
}
