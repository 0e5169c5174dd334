package auth

import (
	"context"
	"crypto"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"

	"accountexport/internal/local/testrun"
)

// keySet is a key set that holds the public part of a key.
func keySet(t *testing.T, s signer) (set []byte, key map[string]any) {
	t.Helper()
	jwk, err := jwkset.NewJWKFromKey(s.key.(crypto.Signer).Public(), jwkset.JWKOptions{
		Metadata: jwkset.JWKMetadataOptions{KID: s.kid, ALG: jwkset.ALG(s.method.Alg()), USE: jwkset.UseSig}})
	if err == nil {
		set, err = json.Marshal(jwkset.JWKSMarshal{Keys: []jwkset.JWKMarshal{jwk.Marshal()}})
	}
	var all struct{ Keys []map[string]any }
	if err == nil {
		err = json.Unmarshal(set, &all)
	}
	if err != nil {
		t.Fatal(err)
	}
	return set, all.Keys[0]
}

// TestNoTokenBringsItsKey: whatever header a token names a key by, its own, one at an
// address or one in a file, it is not used, and nothing is fetched.
func TestNoTokenBringsItsKey(t *testing.T) {
	ours, theirs := rs256(t, "ours"), rs256(t, "theirs")
	set, key := keySet(t, theirs)
	var fetched atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fetched.Add(1)
		_, _ = w.Write(set)
	}))
	defer elsewhere.Close()
	i := newIssuer(t)
	i.publishes(t, ours)
	v := start(t, Config{JWKSURL: i.URL})
	testrun.Eventually(t, "ready", v.Ready)
	for _, kid := range []any{nil, "ours", "theirs", "../../../../dev/null", "/dev/null", "' OR '1'='1", elsewhere.URL, "ours\x00theirs", strings.Repeat("k", 8000)} {
		for name, value := range map[string]any{"": nil, "jwk": key, "jku": elsewhere.URL, "x5u": elsewhere.URL, "x5c": []string{"MIIB"}, "x5t": "AA", "x5t#S256": "AA",
			"cty": "JWT", "zip": "DEF", "b64": false} {
			sign := func(s signer, as jwt.SigningMethod, secret any) string {
				return signer{s.kid, as, secret}.sign(t, iss, func(h map[string]any, _ jwt.MapClaims) {
					if delete(h, "kid"); kid != nil {
						h["kid"] = kid
					}
					if name != "" {
						h[name] = value
					}
				})
			}
			for _, token := range []string{sign(theirs, theirs.method, theirs.key), sign(theirs, jwt.SigningMethodHS256, []byte{}), sign(theirs, jwt.SigningMethodHS256, set)} {
				if _, err := v.Verify(t.Context(), token); reason(err) != "bad_signature" && reason(err) != "unknown_key" {
					t.Errorf("kid %.40q and %s: got %v", kid, name, err)
				}
			}
			// Beside a sound signature such headers do no harm.
			if _, err := v.Verify(t.Context(), sign(ours, ours.method, ours.key)); (err == nil) != (kid == nil || kid == "ours") {
				t.Errorf("our own key, with kid %.40q and %s: got %v", kid, name, err)
			}
		}
	}
	if n := fetched.Load(); n != 0 {
		t.Errorf("%d fetches from where tokens said", n)
	}
}

// TestKeysAreNotFetchedWithoutTLSAfterARedirect: an issuer behind https:// that sends
// elsewhere is followed, but not to http://.
func TestKeysAreNotFetchedWithoutTLSAfterARedirect(t *testing.T) {
	k := es256(t, "k")
	set, _ := keySet(t, k)
	serve := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(set) })
	secure, plain := httptest.NewTLSServer(serve), httptest.NewServer(serve)
	defer secure.Close()
	defer plain.Close()
	for _, test := range []struct {
		name, to string
		want     string // in the error; "": none
	}{
		{"to http", plain.URL, "https:// to http://"},
		{"to https", secure.URL, ""},
	} {
		issuer := httptest.NewTLSServer(http.RedirectHandler(test.to, http.StatusFound))
		v := start(t, Config{JWKSURL: issuer.URL})
		keys := v.keys.(*jwks)
		trusting := secure.Client()
		trusting.CheckRedirect = keys.client.CheckRedirect // httptest's servers share a certificate
		keys = &jwks{Storage: keys.Storage, url: issuer.URL, client: trusting, log: keys.log}
		err := keys.refresh(context.Background())
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v", test.name, err)
		}
		issuer.Close()
	}
}
