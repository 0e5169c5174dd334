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

// How often keys are fetched.
const (
	refreshEvery   = 10 * time.Minute
	unknownEvery   = 30 * time.Second // at most, for key ids that are not known
	fetchTimeout   = 5 * time.Second
	firstRetry     = time.Second      // after a failure, doubled each time
	lastRetry      = 30 * time.Second // up to this
	maxKeySetBytes = 256 << 10
)

// published are the keys at a JWKS URL. One goroutine, in run, fetches them;
// whoever looks for a key that is not known wakes it, and waits for it alone.
//
// keyfunc's own HTTP storage is not used: it waits for the next refresh after
// a failed start, ends an unknown key's fetch with the wait for its limiter,
// and gives up its keys for an empty set.
type published struct {
	jwkset.Storage // what was fetched last
	url            string
	client         *http.Client
	log            *slog.Logger
	lookup         keyfunc.Keyfunc
	limiter        *rate.Limiter
	wake           chan struct{}
	withdrawn      atomic.Uint64
	have           atomic.Bool

	mu      sync.Mutex
	pending chan struct{} // closed after the fetch that was asked for; nil where none was
}

func newPublished(url string, log *slog.Logger) (*published, error) {
	p := &published{
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

func (p *published) epoch() uint64 { return p.withdrawn.Load() }

func (*published) methods() []string { return []string{"ES256", "ES512", "EdDSA", "RS256", "RS512"} }

func (p *published) ready() error {
	if !p.have.Load() {
		return fmt.Errorf("no keys fetched yet from %s", p.url)
	}
	return nil
}

// find pins the algorithm to the kind of the key that is found.
func (p *published) find(ctx context.Context, token *jwt.Token) (any, error) {
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
func (p *published) KeyRead(ctx context.Context, id string) (jwkset.JWK, error) {
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
func (p *published) ask() <-chan struct{} {
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

func (p *published) answered() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.pending)
	p.pending = nil
}

func (p *published) run(ctx context.Context) error {
	retry := firstRetry
	for asked := false; ; {
		wait := refreshEvery
		if err := p.refresh(ctx); err == nil {
			retry = firstRetry
		} else if ctx.Err() == nil {
			wait, retry = retry, min(2*retry, lastRetry)
			p.log.Warn("cannot fetch the issuer's keys", "url", p.url, "error", err, "have_keys", p.have.Load(), "retry_in", wait.String())
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
