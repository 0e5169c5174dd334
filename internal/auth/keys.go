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

// secret is a key that issuer and API share.
type secret []byte

func (s secret) find(context.Context, *jwt.Token) (any, error) { return []byte(s), nil }
func (secret) epoch() uint64                                   { return 0 }
func (secret) ready() error                                    { return nil }
func (secret) methods() []string                               { return []string{"HS256"} }

func (secret) run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// secretAndJWKS are those of a project that migrates from a secret to keys of its own. The
// algorithm says only which of the two may have signed a token, not what it is
// checked with: HS256, with or without a key id, is checked with the secret,
// whatever key the token names, and all else with a key of the set, whose kind
// pins the algorithm. So no public key is ever taken for a secret.
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

func (b secretAndJWKS) epoch() uint64                 { return b.jwks.epoch() }
func (b secretAndJWKS) ready() error                  { return b.secret.ready() } // tokens of the key set are answered 503 until it is there
func (b secretAndJWKS) run(ctx context.Context) error { return b.jwks.run(ctx) }
func (b secretAndJWKS) methods() []string             { return slices.Concat(b.secret.methods(), b.jwks.methods()) }

// How often keys are fetched.
const (
	refreshEvery   = 10 * time.Minute
	unknownEvery   = 30 * time.Second // at most, for key ids that are not known
	fetchTimeout   = 5 * time.Second
	firstRetry     = time.Second      // about, after a failure, and longer each time
	lastRetry      = 30 * time.Second // up to about this
	maxKeySetBytes = 256 << 10
)

// jwks are the keys at a JWKS URL. One goroutine, in run, fetches them;
// whoever looks for a key that is not known wakes it, and waits for it alone.
//
// keyfunc's own HTTP storage is not used: it waits for the next refresh after
// a failed start, ends an unknown key's fetch with the wait for its limiter,
// and gives up its keys for an empty set.
type jwks struct {
	jwkset.Storage // what was fetched last
	url            string
	client         *http.Client
	log            *slog.Logger
	beside         bool // a secret: the issuer may publish no keys yet, and need not be there
	lookup         keyfunc.Keyfunc
	limiter        *rate.Limiter
	wake           chan struct{}
	withdrawn      atomic.Uint64
	have           atomic.Bool
	complained     bool // only for the one goroutine that fetches

	mu      sync.Mutex
	pending chan struct{} // closed after the fetch that was asked for; nil where none was
}

func newJWKS(url string, log *slog.Logger) (*jwks, error) {
	p := &jwks{
		Storage: jwkset.NewMemoryStorage(),
		url:     url,
		client:  &http.Client{Timeout: fetchTimeout},
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
	if !p.have.Load() {
		return fmt.Errorf("no keys fetched yet from %s", p.url)
	}
	return nil
}

// find pins the algorithm to the kind of the key that is found.
func (p *jwks) find(ctx context.Context, token *jwt.Token) (any, error) {
	if !p.have.Load() {
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

// signs tells whether a key of this kind is used with the algorithm.
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

// KeyRead implements [jwkset.Storage]: a key that is not known is looked for
// at the issuer, if that was not done just now.
func (p *jwks) KeyRead(ctx context.Context, id string) (jwkset.JWK, error) {
	k, err := p.Storage.KeyRead(ctx, id)
	if !errors.Is(err, jwkset.ErrKeyNotFound) {
		return k, err
	}
	fetched := p.ask()
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

// ask has the keys fetched, and returns what is closed afterwards; nil where
// they were asked for within the last 30 seconds.
func (p *jwks) ask() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pending == nil {
		if !p.limiter.Allow() {
			return nil
		}
		p.pending = make(chan struct{})
		p.wake <- struct{}{} // has room: one is pending at most
	}
	return p.pending
}

func (p *jwks) answered() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.pending)
	p.pending = nil
}

// complain says that keys could not be fetched; where there is a secret, which
// may be all that is needed, once until they could be.
func (p *jwks) complain(err error, wait time.Duration) {
	level := slog.LevelWarn
	if p.beside {
		if p.complained {
			level = slog.LevelDebug
		}
		p.complained = true
	}
	p.log.Log(context.Background(), level, "cannot fetch the issuer's keys", "url", p.url, "error", err, "have_keys", p.have.Load(),
		"have_secret", p.beside, "retry_in", wait.Round(time.Millisecond).String())
}

func (p *jwks) run(ctx context.Context) error {
	retry := backoff.NewExponentialBackOff()
	retry.InitialInterval, retry.MaxInterval = firstRetry, lastRetry
	for asked := false; ; {
		wait := refreshEvery
		if err := p.refresh(ctx); err == nil {
			retry.Reset()
			p.complained = false
		} else if ctx.Err() == nil {
			wait = retry.NextBackOff()
			p.complain(err, wait)
		}
		if asked {
			p.answered()
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
			asked = false
		case <-p.wake:
			timer.Stop()
			asked = true
		}
	}
}
