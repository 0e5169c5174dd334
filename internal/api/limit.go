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

// Rate is how many requests a second are answered, and how many at once after
// a time without any. The zero value is no limit.
type Rate struct {
	PerSecond float64
	Burst     int
}

// maxLimited bounds the accounts, or addresses, that are remembered; the one
// that asked longest ago is forgotten first, and has its burst again.
const maxLimited = 65536

// limiter limits by key. Its answers carry RateLimit and RateLimit-Policy
// (draft-ietf-httpapi-ratelimit-headers-10).
type limiter[K comparable] struct {
	name   string
	rate   Rate
	policy []string
	byKey  *lru.Cache[K, *rate.Limiter]
}

// newLimiter is nil for no limit.
func newLimiter[K comparable](name string, r Rate) *limiter[K] {
	if r == (Rate{}) {
		return nil
	}
	cache, err := lru.New[K, *rate.Limiter](maxLimited)
	if err != nil {
		panic(err) // the size is not one
	}
	window := strconv.Itoa(int(math.Ceil(float64(r.Burst) / r.PerSecond)))
	return &limiter[K]{name: name, rate: r, byKey: cache,
		policy: []string{`"` + name + `";q=` + strconv.Itoa(r.Burst) + `;w=` + window}}
}

// allow takes one request from the key's allowance, or returns the problem.
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

// clientAddress is the address that a request comes from: the peer's, or,
// where that is a trusted proxy, the last in X-Forwarded-For that is none. Of
// an IPv6 address it is the network of 64 bits, which one client may have all
// of.
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

func trusted(a netip.Addr, proxies []netip.Prefix) bool {
	for _, p := range proxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
