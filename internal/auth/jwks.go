package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
	"github.com/cenkalti/backoff/v5"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/time/rate"
)

// secret is the key that issuer and API share.
type secret []byte

func (s secret) find(context.Context, *jwt.Token) (any, error) { return []byte(s), nil }
func (secret) epoch() uint64                                   { return 0 }
func (secret) ready() error                                    { return nil }
func (secret) methods() []string                               { return []string{"HS256"} }

func (secret) run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// secretAndJWKS are the keys of a project that migrates from a secret to keys of its
// own. The algorithm says only which of the two may have signed a token, and not what
// it is checked with: HS256 is checked with the secret, whatever key id the token
// has, and all others with a key of the set whose type fixes the algorithm. So a
// public key is never used as a secret.
type secretAndJWKS struct {
	*jwks
	secret
}

func (b secretAndJWKS) find(ctx context.Context, token *jwt.Token) (any, error) {
	if slices.Contains(b.secret.methods(), token.Method.Alg()) {
		return b.secret.find(ctx, token)
	}
	return b.jwks.find(ctx, token)
}

func (b secretAndJWKS) epoch() uint64 { return b.jwks.epoch() }

// ready is the secret's: until the key set is fetched, tokens of its keys are answered 503.
func (b secretAndJWKS) ready() error                  { return b.secret.ready() }
func (b secretAndJWKS) run(ctx context.Context) error { return b.jwks.run(ctx) }
func (b secretAndJWKS) methods() []string             { return slices.Concat(b.secret.methods(), b.jwks.methods()) }

// How often keys are fetched.
const (
	refreshEvery   = 10 * time.Minute
	unknownEvery   = 30 * time.Second // the least time between two fetches for unknown key ids
	fetchTimeout   = 5 * time.Second
	firstRetry     = time.Second      // about this, after a failure; longer after each further one
	lastRetry      = 30 * time.Second // about the longest wait
	maxKeySetBytes = 256 << 10
)

// jwks are the keys at a JWKS URL. One goroutine, in run, fetches them. A request that
// needs an unknown key wakes it, and only such requests wait for a fetch.
//
// keyfunc's own HTTP storage is not used: after a failed start it waits for the next
// refresh, it bounds the fetch for an unknown key by the wait for its rate limiter, and
// it gives up its keys when the issuer publishes an empty set.
type jwks struct {
	// Set by newJWKS and New.
	url       string
	client    *http.Client
	log       *slog.Logger
	hasSecret bool // a secret is set too: the issuer need not publish keys yet, nor be reachable
	lookup    keyfunc.Keyfunc
	limiter   *rate.Limiter // of fetches for unknown keys

	// Written by run, and read by every request.
	jwkset.Storage // the keys fetched last; has a lock of its own
	withdrawn      atomic.Uint64
	fetched        atomic.Bool // keys were fetched

	complained bool // belongs to run

	wake chan struct{} // asks run for a fetch; has room for one

	mu      sync.Mutex    // guards pending; never held over I/O
	pending chan struct{} // closed after the requested fetch; nil: none is requested
}

func newJWKS(url string, log *slog.Logger) (*jwks, error) {
	p := &jwks{
		Storage: jwkset.NewMemoryStorage(),
		url:     url,
		client:  &http.Client{Timeout: fetchTimeout, CheckRedirect: checkRedirect},
		log:     log,
		limiter: rate.NewLimiter(rate.Every(unknownEvery), 1),
		wake:    make(chan struct{}, 1),
	}
	var err error
	p.lookup, err = keyfunc.New(keyfunc.Options{Storage: p})
	return p, err
}

func (p *jwks) epoch() uint64 { return p.withdrawn.Load() }

func (*jwks) methods() []string { return []string{"ES256", "ES512", "EdDSA", "RS256", "RS512"} }

func (p *jwks) ready() error {
	if !p.fetched.Load() {
		return fmt.Errorf("no keys fetched yet from %s", p.url)
	}
	return nil
}

// find returns the key or keys that may have signed the token. Each fits the token's
// algorithm, so a token cannot choose how its key is used.
func (p *jwks) find(ctx context.Context, token *jwt.Token) (any, error) {
	if !p.fetched.Load() {
		return nil, ErrKeysUnavailable
	}
	found, err := p.lookup.KeyfuncCtx(ctx)(token)
	if err != nil {
		return nil, err
	}
	alg := token.Method.Alg()
	if set, several := found.(jwt.VerificationKeySet); several { // the token names no key
		set.Keys = slices.DeleteFunc(set.Keys, func(k jwt.VerificationKey) bool { return !signs(k, alg) })
		return set, nil
	}
	if !signs(found, alg) {
		return nil, ErrBadSignature
	}
	return found, nil
}

// signs reports whether a key of this type is used with the algorithm.
func signs(key any, alg string) bool {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return alg == "RS256" || alg == "RS512"
	case *ecdsa.PublicKey:
		return alg == "ES256" && k.Curve == elliptic.P256() || alg == "ES512" && k.Curve == elliptic.P521()
	case ed25519.PublicKey:
		return alg == "EdDSA"
	}
	return false
}

// KeyRead implements [jwkset.Storage]. An unknown key is fetched from the issuer,
// unless that was tried within the last 30 seconds.
func (p *jwks) KeyRead(ctx context.Context, id string) (jwkset.JWK, error) {
	k, err := p.Storage.KeyRead(ctx, id)
	if !errors.Is(err, jwkset.ErrKeyNotFound) {
		return k, err
	}
	fetched := p.requestFetch()
	if fetched == nil {
		return k, err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*fetchTimeout) // a fetch may be under way already
	defer cancel()
	select {
	case <-fetched:
	case <-ctx.Done():
	}
	return p.Storage.KeyRead(context.WithoutCancel(ctx), id)
}

// requestFetch requests a fetch and returns a channel that is closed after it; nil if the last
// request was less than 30 seconds ago.
func (p *jwks) requestFetch() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pending == nil {
		if !p.limiter.Allow() {
			return nil
		}
		p.pending = make(chan struct{})
		p.wake <- struct{}{} // does not block: at most one is pending
	}
	return p.pending
}

func (p *jwks) finishFetch() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.pending)
	p.pending = nil
}

// logFailure logs that keys could not be fetched. With a secret, which may be all that
// the project needs, it warns only once until a fetch succeeds.
func (p *jwks) logFailure(err error, wait time.Duration) {
	level := slog.LevelWarn
	if p.hasSecret {
		if p.complained {
			level = slog.LevelDebug
		}
		p.complained = true
	}
	p.log.Log(context.Background(), level, "cannot fetch the issuer's keys", "url", p.url, "error", err, "have_keys", p.fetched.Load(),
		"have_secret", p.hasSecret, "retry_in", wait.Round(time.Millisecond).String())
}

// run fetches the keys until ctx ends: at once, every refreshEvery, when a request
// asks for it, and after a failure again and again with growing pauses.
func (p *jwks) run(ctx context.Context) error {
	retry := backoff.NewExponentialBackOff()
	retry.InitialInterval, retry.MaxInterval = firstRetry, lastRetry
	for requested := false; ; {
		wait := refreshEvery
		if err := p.refresh(ctx); err == nil {
			retry.Reset()
			p.complained = false
		} else if ctx.Err() == nil {
			wait = retry.NextBackOff()
			p.logFailure(err, wait)
		}
		if requested {
			p.finishFetch()
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
			requested = false
		case <-p.wake:
			timer.Stop()
			requested = true
		}
	}
}
