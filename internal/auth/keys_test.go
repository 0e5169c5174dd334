package auth

import (
	"crypto/elliptic"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"accountexport/internal/local/testrun"
)

func TestAlgorithmsOfPublishedKeys(t *testing.T) {
	ec, rsa, ed := es256(t, "ec"), rs256(t, "rsa"), edDSA(t, "ed")
	p521, p384 := ecKey(t, "p521", elliptic.P521(), jwt.SigningMethodES512), ecKey(t, "p384", elliptic.P384(), jwt.SigningMethodES384)
	i := newIssuer(t)
	i.publishes(t, ec, rsa, ed, p521, p384)
	v := start(t, Config{JWKSURL: i.URL})
	testrun.Eventually(t, "ready", v.Ready)
	as := func(s signer, kid string, m jwt.SigningMethod) string { return signer{kid, m, s.key}.sign(t, iss, nil) }
	for _, test := range []struct{ name, token, want string }{
		{"ES256", ec.sign(t, iss, nil), "ok"},
		{"RS256", rsa.sign(t, iss, nil), "ok"},
		{"EdDSA", ed.sign(t, iss, nil), "ok"},
		{"ES512", p521.sign(t, iss, nil), "ok"},
		{"no kid, one of several keys", ed.bare(t, iss), "ok"},
		{"no kid, another of several keys", rsa.bare(t, iss), "ok"},
		{"no kid, no key of the issuer", es256(t, "x").bare(t, iss), "bad_signature"},
		{"another's key under a known kid", es256(t, "ec").sign(t, iss, nil), "bad_signature"},
		{"signed by one key, named after another", as(ec, "p521", ec.method), "bad_signature"},
		{"ES256 by a kid of an RSA key", as(ec, "rsa", ec.method), "bad_signature"},
		{"RS256 by a kid of an EC key", as(rsa, "ec", rsa.method), "bad_signature"},
		{"RS512 by a key published for RS256", as(rsa, "rsa", jwt.SigningMethodRS512), "bad_signature"},
		{"PS256", as(rsa, "rsa", jwt.SigningMethodPS256), "bad_signature"},
		{"RS384", as(rsa, "rsa", jwt.SigningMethodRS384), "bad_signature"},
		{"ES384", p384.sign(t, iss, nil), "bad_signature"},
		{"HS256 by nothing", signer{"ec", jwt.SigningMethodHS256, []byte{}}.sign(t, iss, nil), "bad_signature"},
		{"kid no text", ec.sign(t, iss, func(h map[string]any, _ jwt.MapClaims) { h["kid"] = 1 }), "bad_signature"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := v.Verify(t.Context(), test.token); reason(err) != test.want {
				t.Errorf("got %s (%v), want %s", reason(err), err, test.want)
			}
		})
	}
}

func TestRSAKeyPublishedWithoutAlgorithm(t *testing.T) {
	k := rs256(t, "k")
	i := newIssuer(t)
	i.publishes(t, signer{"k", jwt.SigningMethodRS256, k.key})
	published, err := (&http.Client{}).Get(i.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer published.Body.Close()
	body, err := io.ReadAll(published.Body)
	if err != nil {
		t.Fatal(err)
	}
	i.answerWith(func(w http.ResponseWriter) {
		_, _ = io.WriteString(w, strings.Replace(string(body), `"alg":"RS256",`, "", 1))
	})
	v := start(t, Config{JWKSURL: i.URL})
	testrun.Eventually(t, "ready", v.Ready)
	for alg, want := range map[jwt.SigningMethod]string{jwt.SigningMethodRS256: "ok", jwt.SigningMethodRS512: "ok",
		jwt.SigningMethodPS512: "bad_signature"} {
		if _, err := v.Verify(t.Context(), signer{"k", alg, k.key}.sign(t, iss, nil)); reason(err) != want {
			t.Errorf("%s: got %v", alg.Alg(), err)
		}
	}
}

func TestRotation(t *testing.T) {
	first, second := es256(t, "first"), es256(t, "second")
	i := newIssuer(t)
	i.publishes(t, first)
	v := start(t, Config{JWKSURL: i.URL})
	testrun.Eventually(t, "ready", v.Ready)
	old := first.sign(t, iss, nil)
	expect := func(what, token, want string) {
		t.Helper()
		if _, err := v.Verify(t.Context(), token); reason(err) != want {
			t.Errorf("%s: got %v, want %s", what, err, want)
		}
	}
	expect("the first key", old, "ok")

	i.publishes(t, first, second)
	expect("a new key", second.sign(t, iss, nil), "ok")
	expect("the old key while it is published", old, "ok")

	i.publishes(t, second)
	if err := v.keys.(*jwks).refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect("a remembered token of a withdrawn key", old, "unknown_key")
	expect("a new token of the withdrawn key", first.sign(t, iss, nil), "unknown_key")
	expect("the second key", second.sign(t, iss, nil), "ok")
}

func TestUnknownKeysAreLookedForOnceInAWhile(t *testing.T) {
	known := es256(t, "known")
	i := newIssuer(t)
	i.publishes(t, known)
	v := start(t, Config{JWKSURL: i.URL})
	testrun.Eventually(t, "ready", v.Ready)
	stranger := es256(t, "stranger").sign(t, iss, nil)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if _, err := v.Verify(t.Context(), stranger); reason(err) != "unknown_key" {
				t.Errorf("got %v", err)
			}
		})
	}
	all.Wait()
	if n := len(i.fetches); n != 2 {
		t.Errorf("fetched %d times, want 2: at the start and for the first unknown key", n)
	}
}

func TestSlowIssuerKeepsNobodyElseWaiting(t *testing.T) {
	known := es256(t, "known")
	i := newIssuer(t)
	i.publishes(t, known)
	v := start(t, Config{JWKSURL: i.URL})
	testrun.Eventually(t, "ready", v.Ready)
	asked, release := make(chan struct{}), make(chan struct{})
	i.answerWith(func(w http.ResponseWriter) { close(asked); <-release })
	done := make(chan error, 1)
	go func() {
		_, err := v.Verify(t.Context(), es256(t, "stranger").sign(t, iss, nil))
		done <- err
	}()
	<-asked
	if _, err := v.Verify(t.Context(), known.sign(t, iss, nil)); err != nil {
		t.Errorf("a known key, while the issuer is slow: %v", err)
	}
	close(release)
	if err := <-done; reason(err) != "unknown_key" {
		t.Errorf("got %v", err)
	}
	if _, err := v.Verify(t.Context(), known.sign(t, iss, nil)); err != nil {
		t.Errorf("a known key, after an answer without keys: %v", err)
	}
}

func TestIssuerAwayAtStart(t *testing.T) {
	k := es256(t, "k")
	i := newIssuer(t)
	i.answerWith(func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadGateway) })
	v := start(t, Config{JWKSURL: i.URL})
	<-i.fetches
	if v.Ready() || v.Check(t.Context()) == nil {
		t.Error("ready without keys")
	}
	if _, err := v.Verify(t.Context(), k.sign(t, iss, nil)); reason(err) != "keys_unavailable" {
		t.Errorf("got %v", err)
	}
	if _, err := v.Verify(t.Context(), "x"); reason(err) != "malformed" {
		t.Errorf("got %v", err)
	}
	i.publishes(t, k)
	testrun.Eventually(t, "ready, once the issuer is there", v.Ready)
	if _, err := v.Verify(t.Context(), k.sign(t, iss, nil)); err != nil {
		t.Error(err)
	}
}

func TestKeysStayWhenTheIssuerAnswersRubbish(t *testing.T) {
	k := es256(t, "k")
	i := newIssuer(t)
	i.publishes(t, k)
	v := start(t, Config{JWKSURL: i.URL})
	testrun.Eventually(t, "ready", v.Ready)
	for name, body := range map[string]string{
		"empty":        "",
		"a page":       "<html>",
		"no keys":      "{}",
		"no key":       `{"keys":[]}`,
		"a shared key": `{"keys":[{"kty":"oct","k":"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0","alg":"HS256"}]}`,
		"a key for encryption": `{"keys":[{"kty":"OKP","crv":"Ed25519","use":"enc",` +
			`"x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`,
		"a broken key": `{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}`,
		"huge":         `{"keys":[` + strings.Repeat(" ", maxKeySetBytes) + `]}`,
	} {
		i.answerWith(func(w http.ResponseWriter) { _, _ = io.WriteString(w, body) })
		if err := v.keys.(*jwks).refresh(t.Context()); err == nil {
			t.Errorf("%s: taken for keys", name)
		}
		if _, err := v.Verify(t.Context(), k.sign(t, iss, nil)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBrokenKeysAreLeftOut(t *testing.T) {
	set, err := usable([]byte(`{"keys":[7,{"kty":"EC","crv":"P-256","x":"AA","y":"AA"},{"kty":"new"},` +
		`{"kty":"OKP","crv":"Ed25519","kid":"good","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","x5u":"http://192.0.2.1/"}]}`))
	if err != nil || len(set) != 1 || set[0].Marshal().KID != "good" {
		out, _ := json.Marshal(set)
		t.Errorf("got %s, %v", out, err)
	}
}
