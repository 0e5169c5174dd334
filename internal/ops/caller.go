package ops

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// forwarded are headers by which a proxy says that it asks for somebody else, beside
// those that begin with X-Forwarded-.
var forwarded = []string{"Forwarded", "Via", "X-Real-Ip"}

// Caller is who has sent a request, as far as the connection tells, and what it says of
// itself.
type Caller struct {
	Addr     netip.Addr // of the connection's other end; not valid where it has none
	PassedOn bool       // a proxy says that it asks for somebody else
	Host     string     // the name or address that was asked, without port and brackets
}

// CallerOf is who has sent a request.
func CallerOf(r *http.Request) Caller {
	c := Caller{Host: r.Host}
	if peer, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		c.Addr = peer.Addr().Unmap().WithZone("")
	}
	for name := range r.Header {
		if strings.HasPrefix(name, "X-Forwarded-") {
			c.PassedOn = true
		}
	}
	for _, name := range forwarded {
		if r.Header[name] != nil {
			c.PassedOn = true
		}
	}
	if host, _, err := net.SplitHostPort(c.Host); err == nil {
		c.Host = host
	}
	c.Host = strings.TrimSuffix(strings.TrimPrefix(c.Host, "["), "]")
	return c
}

// AsksByAddress tells whether the request names an address or localhost: a page in a
// browser that has had its own name resolve to this machine names that.
func (c Caller) AsksByAddress() bool {
	_, err := netip.ParseAddr(c.Host)
	return c.Host == "localhost" || err == nil
}

// AsksLoopback tells whether the request names this machine's own address for itself, or
// localhost.
func (c Caller) AsksLoopback() bool {
	ip, err := netip.ParseAddr(c.Host)
	return c.Host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}
