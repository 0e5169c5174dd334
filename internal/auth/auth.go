// Package auth verifies access tokens of Supabase Auth.
//
// A token is accepted where a key of the issuer signed it, by an algorithm
// that belongs to that key, and its claims are those of a signed-in user of
// this project. Verified tokens are remembered, so that a signature is not
// checked again until the token ends or a key is withdrawn. Whether its
// session has been logged out is not asked: a token works until its exp.
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
	Leeway        = 60 * time.Second // clocks may differ by this much, for exp and nbf
	MaxToken      = 16 << 10         // bytes; a longer token is refused unread
	maxRemembered = 16384            // verified tokens, about 200 bytes each
)

// Config says whose tokens are accepted.
type Config struct {
	Issuer       string   // claim iss, exactly
	Audience     string   // among claim aud
	JWKSURL      string   // where the issuer's public keys are
	Secret       string   // the HS256 secret that issuer and API share; one of the two, or, while a project migrates, both
	OAuthClients []string // third-party clients (claim client_id) whose tokens are accepted; default none

	Now func() time.Time // default time.Now
}

// Identity is whom a token stands for.
type Identity struct {
	Account events.UUID
	Expires time.Time // the token's exp, without leeway
}

// Verifier verifies tokens. It is safe for concurrent use.
type Verifier struct {
	config     Config
	keys       keys
	parser     *jwt.Parser
	validator  *jwt.Validator
	remembered *lru.Cache[[sha256.Size]byte, remembered]
}

type remembered struct {
	Identity
	epoch uint64 // of the keys that verified it
}

// keys are what signatures are checked with.
type keys interface {
	// find returns the key, or keys, that may have signed the token.
	find(ctx context.Context, token *jwt.Token) (any, error)
	// epoch changes when a key is withdrawn.
	epoch() uint64
	ready() error
	run(ctx context.Context) error
	methods() []string
}

// New makes a verifier. Of a JWKS URL it has no keys until Run fetches them. With
// a secret as well it is ready without them: tokens of HS256 are the secret's,
// all others the key set's.
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
			k.beside = true
			v.keys = secretAndJWKS{k, secret(c.Secret)}
		}
	}
	// Claims are judged after the signature, by the validator: a service key
	// with a good signature is told apart from a forged one.
	v.parser = jwt.NewParser(jwt.WithValidMethods(v.keys.methods()), jwt.WithStrictDecoding(), jwt.WithoutClaimsValidation())
	v.validator = jwt.NewValidator(jwt.WithLeeway(Leeway), jwt.WithTimeFunc(c.Now), jwt.WithExpirationRequired(),
		jwt.WithIssuer(c.Issuer), jwt.WithAudience(c.Audience))
	var err error
	if v.remembered, err = lru.New[[sha256.Size]byte, remembered](maxRemembered); err != nil {
		return nil, fmt.Errorf("verifier: %w", err)
	}
	return v, nil
}

// Run keeps the keys fresh until ctx ends: they are fetched at once, then
// every 10 minutes, and when a token names a key that is not known, at most
// every 30 seconds. While the issuer cannot be reached the last keys stay.
func (v *Verifier) Run(ctx context.Context) error { return v.keys.run(ctx) }

// Ready is false until there are keys, or a secret.
func (v *Verifier) Ready() bool { return v.keys.ready() == nil }

// Check is nil where there are keys, and says why not otherwise.
func (v *Verifier) Check(context.Context) error { return v.keys.ready() }

// Verify returns whom the token stands for. Errors are those of this package;
// errors.As finds the *Failure that says why and of which kind.
func (v *Verifier) Verify(ctx context.Context, token string) (Identity, error) {
	if len(token) > MaxToken {
		return Identity{}, fmt.Errorf("%w: more than %d bytes", ErrMalformed, MaxToken)
	}
	var usual [2048]byte // of a token, on the stack
	key := sha256.Sum256(append(usual[:0], token...))
	epoch := v.keys.epoch() // before the keys are read: what a withdrawn key verifies meanwhile is not remembered
	if r, ok := v.remembered.Get(key); ok && r.epoch == epoch {
		if v.config.Now().Before(r.Expires.Add(Leeway)) {
			return r.Identity, nil
		}
		v.remembered.Remove(key)
		return Identity{}, ErrExpired
	}
	var c claims
	_, err := v.parser.ParseWithClaims(token, &c, func(t *jwt.Token) (any, error) {
		if _, ok := t.Header["crit"]; ok { // RFC 7515 §4.1.11: nothing critical is understood here
			return nil, ErrMalformed
		}
		return v.keys.find(ctx, t)
	})
	if err != nil {
		return Identity{}, failure(err)
	}
	id, err := v.judge(&c)
	if err != nil {
		return Identity{}, err
	}
	v.remembered.Add(key, remembered{id, epoch})
	return id, nil
}

// judge judges the claims of a token whose signature is good.
func (v *Verifier) judge(c *claims) (Identity, error) {
	err := v.validator.Validate(c)
	switch {
	case c.Expires == nil:
		return Identity{}, fmt.Errorf("%w: it has no exp", ErrMalformed)
	case errors.Is(err, jwt.ErrTokenExpired):
		return Identity{}, ErrExpired
	case errors.Is(err, jwt.ErrTokenNotValidYet):
		return Identity{}, ErrNotYetValid
	case c.Subject == "" && (c.Role == "service_role" || c.Role == "anon"):
		return Identity{}, ErrWrongRole // a project's key, whose issuer is "supabase"
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
