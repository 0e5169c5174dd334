// Package api serves account exports over HTTP, each to the user whom the
// access token names.
//
// Every answer but a document and 304 is a problem (RFC 9457) of the table in
// problem.go. A document is sent as it is stored; an error after its first
// byte breaks the connection, so what arrives whole is whole.
package api

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/gorilla/mux"
	"github.com/prometheus/client_golang/prometheus"

	"accountexport/events"
	"accountexport/internal/auth"
	"accountexport/readmodel/export"
)

// exports is where documents come from: [export.Reader].
type exports interface {
	Meta(ctx context.Context, account events.UUID) (export.Meta, error)
	OpenRange(ctx context.Context, account events.UUID, choose export.RangeFunc) (*export.Document, error)
}

// positionWaiter tells when a position is reached: [export.Waiter].
type positionWaiter interface {
	WaitFor(ctx context.Context, account events.UUID, position uint64, atMost time.Duration) (at uint64, reached bool, err error)
}

// verifier says whom a token stands for: [auth.Verifier].
type verifier interface {
	Verify(ctx context.Context, token string) (auth.Identity, error)
}

// Config says what the API serves, and to whom. All but Exports, Waits and
// Verifier may be left out.
type Config struct {
	Exports  exports
	Waiter   positionWaiter
	Verifier verifier

	Origins     []string       // of web pages that may read answers, or "*"; default none
	Headers     []string       // that those pages may send beside the usual ones; default none
	AccountRate Rate           // for each account; default no limit
	AddressRate Rate           // for each address, before a token is looked at; default no limit
	Proxies     []netip.Prefix // whose X-Forwarded-For is believed; default none
	Encoders    int            // long documents that are compressed at once, of some 2 MiB each; default 16. Beyond, they are sent plain

	Registry prometheus.Registerer // default a registry of its own
	Logger   *slog.Logger          // default discards
}

func (c Config) withDefaults() Config {
	if c.Encoders == 0 {
		c.Encoders = 16
	}
	if c.Registry == nil {
		c.Registry = prometheus.NewRegistry()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// exportPath is where a user finds their export.
const exportPath = "/v1/account/export"

// New makes the API's handler and registers its metrics. It is to be served by
// a server of [NewServer].
func New(c Config) http.Handler {
	c = c.withDefaults()
	m := newMetrics(c.Registry)
	router := mux.NewRouter().SkipClean(true) // a path that is not clean is another path
	export := &exportHandler{Config: c, metrics: m, encoders: newEncoders(c.Encoders),
		limit: newLimiter[events.UUID]("account", c.AccountRate)}
	router.Handle(exportPath, export).Methods(http.MethodGet, http.MethodHead)
	router.Handle(descriptionPath, description()).Methods(http.MethodGet, http.MethodHead)
	router.NotFoundHandler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		write(w, problemNoSuchPath)
	})
	router.MethodNotAllowedHandler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Allow", "GET, HEAD") // of each resource there is
		write(w, problemMethodNotAllowed)
	})
	var next http.Handler = straight(export, router)
	if c.AddressRate != (Rate{}) {
		next = limitAddresses(newLimiter[netip.Prefix]("address", c.AddressRate), c.Proxies, next)
	}
	if len(c.Origins) > 0 {
		next = withCORS(c.Origins, c.Headers, next)
	}
	return &instrumented{next: next, metrics: m, log: c.Logger}
}

// straight has what nearly all requests are go past the router, which copies a
// request twice to keep in it what nobody asks for.
func straight(export, router http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && r.URL.Path == exportPath {
			export.ServeHTTP(w, r)
			return
		}
		router.ServeHTTP(w, r)
	})
}

func limitAddresses(l *limiter[netip.Prefix], proxies []netip.Prefix, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := l.allow(w.Header(), clientAddress(r, proxies)); err != nil {
			write(w, problemOf(err))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// headerTimeout is how long a client has for a request's header.
const headerTimeout = 5 * time.Second

// NewServer serves the handler with limits: a client has 5 seconds to send its
// header of 32 KiB, and its body, which is not read, 10. How long it has to take
// an answer is the listener's to say; see [Listen].
func NewServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ConnState:         connState,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),

		DisableGeneralOptionsHandler: true, // OPTIONS * is answered as all else is
	}
}
