package console

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// userKey is the key of who asks in a request's context.
type userKey struct{}

// userOf is who asks: never empty within the console's handlers.
func userOf(r *http.Request) string {
	user, _ := r.Context().Value(userKey{}).(string)
	return user
}

// policy is what pages may do: run the console's own script, use its own style and ask
// the console itself, and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; " +
	"base-uri 'none'; frame-ancestors 'none'"

// guard answers only to whoever may ask. Every answer carries the headers that keep a
// page from being framed, cached, or from running anything that is not the console's.
func (c *Console) guard(next http.Handler) http.Handler {
	origin := http.NewCrossOriginProtection()
	origin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.fail(w, r, &failure{Status: http.StatusForbidden, Type: "cross-origin", Title: "Refused: this came from another page",
			Detail: "Acts are done only from the console's own pages. Open the console, and do it there."})
	}))
	protected := origin.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
		h.Set("Cache-Control", "no-store")
		user, refused := c.whoAsks(r)
		if refused != nil {
			c.fail(w, r.WithContext(context.WithValue(r.Context(), userKey{}, "")), refused)
			return
		}
		protected.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), userKey{}, user)))
	})
}

// whoAsks is who asks, or why nobody is answered.
//
// Without a header that names users, whoever is on this machine may ask. It goes by the
// connection's own address, and the request has to name this machine: a page whose name
// was made to resolve to this address is refused, and so is what a proxy on this machine
// passes on, which may be anybody's.
func (c *Console) whoAsks(r *http.Request) (string, *failure) {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return "", forbidden("Who asks is not known", "The connection has no address.")
	}
	address := peer.Addr().Unmap().WithZone("")
	if c.cfg.UserHeader == "" {
		switch {
		case !address.IsLoopback():
			return "", forbidden("Refused: this came from another machine", "Without CONSOLE_USER_HEADER the console answers this machine only.")
		case passedOn(r):
			return "", forbidden("Refused: a proxy has passed this on", "Behind a proxy the console needs TRUSTED_PROXIES and CONSOLE_USER_HEADER, which says who asks.")
		case !namesThisMachine(r.Host):
			return "", forbidden("Refused: this was asked of another host", "Open the console by its address, such as http://127.0.0.1:9093/, or by localhost.")
		}
		return c.cfg.User, nil
	}
	if !slices.ContainsFunc(c.cfg.Proxies, func(p netip.Prefix) bool { return p.Contains(address) }) {
		return "", forbidden("Refused: this came past the proxy", "The console answers the proxies of TRUSTED_PROXIES only. Open it by the proxy's address.")
	}
	values := r.Header.Values(c.cfg.UserHeader)
	if len(values) != 1 || !soundUser(values[0]) {
		return "", &failure{Status: http.StatusUnauthorized, Type: "nobody", Title: "Refused: the proxy has not said who asks",
			Detail: "It has to send " + c.cfg.UserHeader + " once, with a name of at most 200 printable characters."}
	}
	return values[0], nil
}

func forbidden(title, detail string) *failure {
	return &failure{Status: http.StatusForbidden, Type: "forbidden", Title: title, Detail: detail}
}

// passedOn tells whether a proxy says that it asks for somebody else.
func passedOn(r *http.Request) bool {
	for _, name := range []string{"Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip"} {
		if r.Header[name] != nil {
			return true
		}
	}
	return false
}

func namesThisMachine(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// soundUser tells whether a name can be shown and recorded.
func soundUser(name string) bool {
	return name != "" && name == strings.TrimSpace(name) && utf8.ValidString(name) && utf8.RuneCountInString(name) <= 200 &&
		!strings.ContainsFunc(name, func(c rune) bool { return !strconv.IsPrint(c) })
}

// isAPI tells whether a request is one of the JSON API.
func isAPI(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/api/") }
