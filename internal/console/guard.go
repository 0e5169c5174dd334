package console

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"accountexport/internal/ops"
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
	origin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { c.fail(w, r, crossOrigin()) }))
	protected := origin.Handler(c.contained(next))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
		h.Set("Cache-Control", "no-store")
		if r.URL.Path == "/livez" { // for supervisors, who are nobody's users; it tells nothing else
			h.Set("Content-Type", "text/plain; charset=utf-8")
			_, _ = w.Write([]byte("ok\n"))
			return
		}
		user, refused := c.whoAsks(r)
		if refused == nil && ofAnotherPage(r) {
			refused = crossOrigin()
		}
		if refused != nil {
			c.log.Info("a request to the console is refused", "from", r.RemoteAddr, "why", refused.Title)
			c.fail(w, r.WithContext(context.WithValue(r.Context(), userKey{}, "")), refused)
			return
		}
		protected.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), userKey{}, user)))
	})
}

func crossOrigin() *failure {
	return &failure{Status: http.StatusForbidden, Type: "cross-origin", Title: "Refused: this came from another page",
		Detail: "Whatever is asked of the console is asked by its own pages, but for a link that leads to one. Open the console, and do it there."}
}

// ofAnotherPage tells whether a browser says that a page of another origin is reading
// from the console, for itself or unseen. What is looked at is recorded in the name of
// whoever looks, so no other page may look. A link to a page of the console is followed
// by whoever sees it, and may be anywhere. What changes something is judged by
// [http.CrossOriginProtection], also where a browser does not say this.
func ofAnotherPage(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
		return false
	}
	return r.Method != http.MethodGet || r.Header.Get("Sec-Fetch-Mode") != "navigate" || r.Header.Get("Sec-Fetch-Dest") != "document"
}

// whoAsks is who asks, or why nobody is answered.
//
// Without a header that names users, whoever is on this machine may ask. It goes by the
// connection's own address, and the request has to name this machine: a page whose name
// was made to resolve to this address is refused, and so is what a proxy on this machine
// passes on, which may be anybody's.
func (c *Console) whoAsks(r *http.Request) (string, *failure) {
	caller := ops.CallerOf(r)
	if c.cfg.UserHeader == "" {
		switch {
		case !caller.Addr.IsLoopback():
			return "", forbidden("Refused: this came from another machine", "Without CONSOLE_USER_HEADER the console answers this machine only.")
		case caller.PassedOn:
			return "", forbidden("Refused: a proxy has passed this on", "Behind a proxy the console needs TRUSTED_PROXIES and CONSOLE_USER_HEADER, which says who asks.")
		case !caller.AsksLoopback():
			return "", forbidden("Refused: this was asked of another host", "Open the console by its address, such as http://127.0.0.1:9093/, or by localhost.")
		}
		return c.cfg.User, nil
	}
	if !slices.ContainsFunc(c.cfg.Proxies, func(p netip.Prefix) bool { return p.Contains(caller.Addr) }) {
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

// soundUser tells whether a name can be shown and recorded.
func soundUser(name string) bool {
	return name != "" && name == strings.TrimSpace(name) && utf8.ValidString(name) && utf8.RuneCountInString(name) <= 200 &&
		!strings.ContainsFunc(name, func(c rune) bool { return !strconv.IsPrint(c) })
}

// isAPI tells whether a request is one of the JSON API.
func isAPI(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/api/") }
