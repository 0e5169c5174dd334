package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"

	"github.com/MicahParks/jwkset"
)

// refresh replaces the keys by those that the issuer publishes now. After an error
// the keys are unchanged. A key set without a usable key is an error, except for a
// project with a secret that has had no keys yet.
func (p *jwks) refresh(ctx context.Context) error {
	set, err := p.fetch(ctx)
	if errors.Is(err, errNoKeys) && p.hasSecret && !p.fetched.Load() {
		// The project has not begun to migrate. A token of any other algorithm than HS256
		// then names an unknown key.
		set, err = nil, nil
	}
	if err != nil {
		return err
	}
	before, err := p.KeyReadAll(ctx)
	if err != nil {
		return err
	}
	if err := p.KeyReplaceAll(ctx, set); err != nil {
		return err
	}
	for _, old := range before {
		if !contains(set, old) {
			// after the replacement, so that nothing cached from here on was verified by the
			// withdrawn key
			p.withdrawn.Add(1)
			p.log.Info("a key was withdrawn by the issuer", "kid", old.Marshal().KID)
			break
		}
	}
	if !p.fetched.Swap(true) {
		p.log.Info("fetched the issuer's keys", "url", p.url, "keys", len(set))
	}
	return nil
}

func contains(set []jwkset.JWK, key jwkset.JWK) bool {
	for _, k := range set {
		if k.Marshal().KID == key.Marshal().KID && reflect.DeepEqual(k.Key(), key.Key()) {
			return true
		}
	}
	return false
}

// fetch requests the key set and returns its usable keys.
func (p *jwks) fetch(ctx context.Context) ([]jwkset.JWK, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	resp, err := p.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the issuer answers %s", resp.Status)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxKeySetBytes+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxKeySetBytes {
		return nil, fmt.Errorf("the key set has more than %d bytes", maxKeySetBytes)
	}
	return usable(body)
}

// checkRedirect follows the issuer to another address, but never from one that TLS
// protects to one where anybody on the way could put keys of their own into the answer.
func checkRedirect(next *http.Request, before []*http.Request) error {
	switch last := before[len(before)-1]; {
	case last.URL.Scheme == "https" && next.URL.Scheme != "https":
		return fmt.Errorf("the issuer sends from https:// to %s://, where its keys could be forged", next.URL.Scheme)
	case len(before) >= 10:
		return errors.New("the issuer redirects without end")
	}
	return nil
}

var errNoKeys = errors.New("the key set has no key that signs tokens (a project with a shared secret? then set JWT_SECRET)")

// usable parses a JWK set and leaves out the keys that cannot sign tokens here: keys
// of other types, for encryption, or malformed.
func usable(body []byte) ([]jwkset.JWK, error) {
	var published struct{ Keys []json.RawMessage }
	if err := json.Unmarshal(body, &published); err != nil {
		return nil, errors.New("the answer is no JWK set")
	}
	var set []jwkset.JWK
	for _, raw := range published.Keys {
		var m jwkset.JWKMarshal
		if err := json.Unmarshal(raw, &m); err != nil || m.USE != "" && m.USE != jwkset.UseSig {
			continue
		}
		m.X5C, m.X5T, m.X5TS256, m.X5U = nil, "", "", "" // certificates are not checked
		k, err := jwkset.NewJWKFromMarshal(m, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
		if err != nil || !signsAny(k.Key()) {
			continue
		}
		set = append(set, k)
	}
	if len(set) == 0 {
		return nil, errNoKeys
	}
	return set, nil
}

func signsAny(key any) bool {
	for _, alg := range (*jwks)(nil).methods() {
		if signs(key, alg) {
			return true
		}
	}
	return false
}
