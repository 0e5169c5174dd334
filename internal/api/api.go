// Package api serves account exports over HTTP, to each user the export of the
// account that the access token names.
//
// Every answer other than a document, a 304, or what the API says of itself without a
// token (its description and the schemas) is a problem document (RFC 9457) from the
// table in problem.go. A document is sent as it is stored. An error after its
// first byte closes the connection before its end, so a document that arrives
// completely is complete.
//
// Sizes are in bytes, and times in headers and problems in seconds, unless a name or
// comment says otherwise. The package keeps nothing between requests but rate limits
// and metrics.
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
	"accountexport/internal/tracing"
	"accountexport/readmodel/export"
)

// exports is the part of [export.Reader] that requests need: an account's state and
// version, and its document.
type exports interface {
	Meta(ctx context.Context, account events.UUID) (export.Meta, error)
	OpenRange(ctx context.Context, account events.UUID, choose export.RangeFunc) (*export.Document, error)
	OpenGzip(ctx context.Context, account events.UUID, choose export.RangeFunc) (*export.Document, error)
}

// positionWaiter is the part of [export.Waiter] that min_position needs.
type positionWaiter interface {
	WaitFor(ctx context.Context, account events.UUID, position uint64, atMost time.Duration) (at uint64, reached bool, err error)
}

// verifier is the part of [auth.Verifier] that requests need.
type verifier interface {
	Verify(ctx context.Context, token string) (auth.Identity, error)
}

// Config says what the API serves, and to whom. Everything but Exports, Waiter and
// Verifier is optional.
type Config struct {
	Exports  exports
	Waiter   positionWaiter
	Verifier verifier

	Origins     []string       // of web pages that may read answers, or "*"; default none
	Headers     []string       // that those pages may send beside the usual ones; default none
	AccountRate Rate           // per account; default no limit
	AddressRate Rate           // per client address, applied before a token is verified; default no limit
	Proxies     []netip.Prefix // whose X-Forwarded-For is trusted, and whose traceparent is followed; default none

	// Encoders bounds how many long documents are compressed at a time, at about 2 MiB of
	// memory each; default 16. Further ones are sent uncompressed.
	Encoders int

	Registry prometheus.Registerer // default a registry of its own
	Logger   *slog.Logger          // default discards
	Tracing  *tracing.Tracing      // default nothing is traced
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

// exportPath is the path of the export of the token's account.
const exportPath = "/v1/account/export"

// New creates the API's handler and registers its metrics. The handler has to be
// served by a server of [NewServer], on a listener of [Listen].
func New(c Config) http.Handler {
	c = c.withDefaults()
	m := newMetrics(c.Registry)
	router := mux.NewRouter().SkipClean(true) // an unclean path is a different path
	export := &exportHandler{Config: c, metrics: m, encoders: newEncoders(c.Encoders),
		limit: newLimiter[events.UUID]("account", c.AccountRate)}
	router.Handle(exportPath, export).Methods(http.MethodGet, http.MethodHead)
	router.Handle(descriptionPath, fixed("application/json", openAPI)).Methods(http.MethodGet, http.MethodHead)
	routeSchemas(router)
	router.NotFoundHandler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		write(w, problemNoSuchPath)
	})
	router.MethodNotAllowedHandler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Allow", "GET, HEAD") // for every resource there is
		write(w, problemMethodNotAllowed)
	})
	var next http.Handler = bypassRouter(export, router)
	if c.AddressRate != (Rate{}) {
		next = limitAddresses(newLimiter[netip.Prefix]("address", c.AddressRate), c.Proxies, next)
	}
	if len(c.Origins) > 0 {
		next = withCORS(c.Origins, c.Headers, next)
	}
	return &instrumented{next: next, metrics: m, log: c.Logger, tracing: c.Tracing, proxies: c.Proxies}
}

// bypassRouter dispatches the usual request itself, and leaves the others to the router,
// which copies each request twice for route variables that nobody reads.
func bypassRouter(export, router http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && r.URL.Path == exportPath {
			export.ServeHTTP(w, r)
			return
		}
		router.ServeHTTP(w, r)
	})
}

// limitAddresses answers 429 to an address that has used up its allowance, before its
// token is verified.
func limitAddresses(l *limiter[netip.Prefix], proxies []netip.Prefix, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := l.allow(w.Header(), clientAddress(r, proxies)); err != nil {
			write(w, problemOf(err))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// headerTimeout is how long a client has to send a request's header.
const headerTimeout = 5 * time.Second

// NewServer creates a server with limits: a client has 5 s for its header of at most
// 32 KiB, and 10 s for its body, which is ignored. The write timeout is the
// listener's; see [Listen]. What the server answers by itself is counted in the metrics of
// a handler of [New].
func NewServer(handler http.Handler, log *slog.Logger) *http.Server {
	countUnread := func(int) {}
	if i, ok := handler.(*instrumented); ok {
		countUnread = i.metrics.unread
	}
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ConnState:         connState(countUnread),
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),

		DisableGeneralOptionsHandler: true, // OPTIONS * is answered like every other request
	}
}
