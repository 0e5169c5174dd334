// Package auth verifies access tokens of Supabase Auth.
//
// A token is accepted if a key of the issuer signed it, with an algorithm that
// belongs to that key, and if its claims are those of a signed-in user of this
// project. Verified tokens are cached, so a signature is not checked again until the
// token expires or a key is withdrawn. Logging out of a session is not noticed: a
// token is valid until its exp.
//
// Every error of [Verifier.Verify] contains a [*Failure], whose kind says how to
// answer and whose text may be shown to the client. A database or network failure
// never makes a token pass: while the issuer's keys are unavailable, tokens fail with
// [ErrKeysUnavailable].
package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"
	lru "github.com/hashicorp/golang-lru/v2"

	"accountexport/events"
)

// Limits of a verifier.
const (
	Leeway    = 60 * time.Second // by which clocks may differ, for exp and nbf
	MaxToken  = 16 << 10         // bytes; a longer token is refused without being parsed
	maxCached = 16384            // cached tokens, about 200 bytes each
)

// Config says whose tokens are accepted.
type Config struct {
	Issuer   string // claim iss has to equal it
	Audience string // claim aud has to contain it
	JWKSURL  string // where the issuer publishes its keys

	// Secret is the HS256 secret that the issuer shares with the API. Either it or
	// JWKSURL is required; a project that migrates from one to the other has both.
	Secret       string
	OAuthClients []string // third-party clients (claim client_id) whose tokens are accepted; default none

	Now func() time.Time // default time.Now
}

// Identity is the user that a token was issued to.
type Identity struct {
	Account events.UUID
	Expires time.Time // the token's exp, without leeway
}

// Verifier verifies tokens. It is safe for concurrent use.
type Verifier struct {
	config    Config
	keys      keys
	parser    *jwt.Parser
	validator *jwt.Validator
	cached    *lru.Cache[[sha256.Size]byte, cachedIdentity] // by the token's hash; has a lock of its own
}

// cachedIdentity is what is kept of a verified token. It counts only while no key has been
// withdrawn since.
type cachedIdentity struct {
	Identity
	epoch uint64 // of the keys at verification
}

// keys are the keys that signatures are checked with.
type keys interface {
	// find returns the key, or keys, that may have signed the token.
	find(ctx context.Context, token *jwt.Token) (any, error)
	// epoch changes whenever a key is withdrawn.
	epoch() uint64
	// ready returns why there is no key, or nil.
	ready() error
	// run keeps the keys up to date until ctx ends.
	run(ctx context.Context) error
	// methods are the signature algorithms that the keys verify.
	methods() []string
}

// New creates a verifier. With a JWKS URL and no secret it has no keys until Run has
// fetched them. With both it is ready at once: tokens of HS256 are checked with the
// secret, and all others with the key set.
func New(c Config, log *slog.Logger) (*Verifier, error) {
	if c.Issuer == "" || c.Audience == "" || c.JWKSURL == "" && c.Secret == "" {
		return nil, errors.New("verifier: needs an issuer, an audience, and a JWKS URL or a secret")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	v := &Verifier{config: c}
	if c.JWKSURL == "" {
		v.keys = secret(c.Secret)
	} else {
		if _, err := url.ParseRequestURI(c.JWKSURL); err != nil {
			return nil, fmt.Errorf("verifier: JWKS URL: %w", err)
		}
		k, err := newJWKS(c.JWKSURL, log)
		if err != nil {
			return nil, fmt.Errorf("verifier: %w", err)
		}
		v.keys = k
		if c.Secret != "" {
			k.hasSecret = true
			v.keys = secretAndJWKS{k, secret(c.Secret)}
		}
	}
	// The validator checks the claims after the signature, so that a genuine service key
	// is told apart from a forged one.
	v.parser = jwt.NewParser(jwt.WithValidMethods(v.keys.methods()), jwt.WithStrictDecoding(), jwt.WithoutClaimsValidation())
	v.validator = jwt.NewValidator(jwt.WithLeeway(Leeway), jwt.WithTimeFunc(c.Now), jwt.WithExpirationRequired(),
		jwt.WithIssuer(c.Issuer), jwt.WithAudience(c.Audience))
	var err error
	if v.cached, err = lru.New[[sha256.Size]byte, cachedIdentity](maxCached); err != nil {
		return nil, fmt.Errorf("verifier: %w", err)
	}
	return v, nil
}

// Run keeps the keys up to date until ctx ends: they are fetched at once, every 10
// minutes, and when a token names an unknown key, at most every 30 seconds. While the
// issuer cannot be reached, the keys fetched last stay in use.
func (v *Verifier) Run(ctx context.Context) error { return v.keys.run(ctx) }

// Ready reports whether there are keys or a secret.
func (v *Verifier) Ready() bool { return v.keys.ready() == nil }

// Check returns nil if there are keys or a secret, and otherwise why there are none.
func (v *Verifier) Check(context.Context) error { return v.keys.ready() }

// Verify returns the user that the token was issued to. Every error contains a
// *[Failure], to be found with errors.As, which says why and of which kind.
func (v *Verifier) Verify(ctx context.Context, token string) (Identity, error) {
	if len(token) > MaxToken {
		return Identity{}, fmt.Errorf("%w: more than %d bytes", ErrMalformed, MaxToken)
	}
	var buf [2048]byte // on the stack, for a token of usual length
	key := sha256.Sum256(append(buf[:0], token...))
	epoch := v.keys.epoch() // read before the keys: what a key verifies that is withdrawn meanwhile must not be cached
	if r, ok := v.cached.Get(key); ok && r.epoch == epoch {
		if v.config.Now().Before(r.Expires.Add(Leeway)) {
			return r.Identity, nil
		}
		v.cached.Remove(key)
		return Identity{}, ErrExpired
	}
	var c claims
	_, err := v.parser.ParseWithClaims(token, &c, func(t *jwt.Token) (any, error) {
		if _, ok := t.Header["crit"]; ok { // RFC 7515 §4.1.11: no critical extension is supported
			return nil, ErrMalformed
		}
		return v.keys.find(ctx, t)
	})
	if err != nil {
		return Identity{}, failure(err)
	}
	id, err := v.checkClaims(&c)
	if err != nil {
		return Identity{}, err
	}
	v.cached.Add(key, cachedIdentity{id, epoch})
	return id, nil
}

// checkClaims checks the claims of a token whose signature is valid.
func (v *Verifier) checkClaims(c *claims) (Identity, error) {
	err := v.validator.Validate(c)
	switch {
	case c.Expires == nil:
		return Identity{}, fmt.Errorf("%w: it has no exp", ErrMalformed)
	case errors.Is(err, jwt.ErrTokenExpired):
		return Identity{}, ErrExpired
	case errors.Is(err, jwt.ErrTokenNotValidYet):
		return Identity{}, ErrNotYetValid
	case c.Subject == "" && (c.Role == "service_role" || c.Role == "anon"):
		return Identity{}, ErrWrongRole // a project's API key, whose issuer is "supabase"
	case c.Issuer != v.config.Issuer:
		return Identity{}, ErrWrongIssuer
	case err != nil:
		return Identity{}, ErrWrongAudience
	case c.Role != "authenticated":
		return Identity{}, ErrWrongRole
	case c.Subject == "":
		return Identity{}, ErrNoSubject
	}
	account, err := events.ParseUUID(c.Subject)
	if err != nil {
		return Identity{}, fmt.Errorf("%w: its sub is no UUID", ErrMalformed)
	}
	if c.ClientID != nil && !slices.Contains(v.config.OAuthClients, *c.ClientID) {
		return Identity{}, ErrThirdParty
	}
	return Identity{Account: account, Expires: c.Expires.Time}, nil
}
