package api

import (
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

// Rate is a number of requests per second, and how many may come at once after a time
// without requests. The zero value is no limit.
type Rate struct {
	PerSecond float64
	Burst     int
}

// maxLimited bounds how many accounts, or addresses, a limiter remembers. The least
// recently seen one is forgotten first, and gets its full burst again.
const maxLimited = 65536

// limiter limits requests by key. The answers carry RateLimit and RateLimit-Policy
// (draft-ietf-httpapi-ratelimit-headers-10). It is safe for concurrent use.
type limiter[K comparable] struct {
	name   string
	rate   Rate
	policy []string
	byKey  *lru.Cache[K, *rate.Limiter]
}

// newLimiter returns nil, which allows everything, for no limit.
func newLimiter[K comparable](name string, r Rate) *limiter[K] {
	if r == (Rate{}) {
		return nil
	}
	cache, err := lru.New[K, *rate.Limiter](maxLimited)
	if err != nil {
		panic(err) // cannot happen: the size is valid
	}
	window := strconv.Itoa(int(math.Ceil(float64(r.Burst) / r.PerSecond)))
	return &limiter[K]{name: name, rate: r, byKey: cache,
		policy: []string{`"` + name + `";q=` + strconv.Itoa(r.Burst) + `;w=` + window}}
}

// allow takes one request from the key's allowance and sets the headers; the error is
// problemTooMany if nothing is left.
func (l *limiter[K]) allow(h http.Header, key K) error {
	if l == nil {
		return nil
	}
	one, ok := l.byKey.Get(key)
	if !ok {
		one = rate.NewLimiter(rate.Limit(l.rate.PerSecond), l.rate.Burst)
		if before, was, _ := l.byKey.PeekOrAdd(key, one); was {
			one = before
		}
	}
	now := time.Now()
	allowed := one.AllowN(now, 1)
	left := max(0, one.TokensAt(now))
	next := int(math.Ceil((1 - math.Mod(left, 1)) / l.rate.PerSecond))
	h["Ratelimit-Policy"] = append(h["Ratelimit-Policy"], l.policy...)
	h["Ratelimit"] = append(h["Ratelimit"], `"`+l.name+`";r=`+strconv.Itoa(int(left))+`;t=`+strconv.Itoa(next))
	if allowed {
		return nil
	}
	return problemTooMany.with(func(p *problem) { p.retryAfter = max(1, next) })
}

// clientAddress returns the address of a request's client: the peer's, or, if the
// peer is a trusted proxy, the last address in X-Forwarded-For that is not one. An
// IPv6 address is reduced to its /64 network, all of which one client may own.
func clientAddress(r *http.Request, proxies []netip.Prefix) netip.Prefix {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Prefix{}
	}
	address := peer.Addr().Unmap()
	hops := strings.Split(strings.Join(r.Header["X-Forwarded-For"], ","), ",")
	for i := len(hops) - 1; i >= 0 && trusted(address, proxies); i-- {
		hop, err := netip.ParseAddr(strings.Trim(hops[i], " \t"))
		if err != nil {
			break
		}
		address = hop.Unmap()
	}
	bits := 32
	if address.Is6() {
		bits = 64
	}
	network, err := address.WithZone("").Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return network
}

// isFrom tells whether one of the proxies has sent a request.
func isFrom(r *http.Request, proxies []netip.Prefix) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && trusted(peer.Addr().Unmap(), proxies)
}

func trusted(a netip.Addr, proxies []netip.Prefix) bool {
	for _, p := range proxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
