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
	"time"

	"github.com/gorilla/mux"
	"github.com/prometheus/client_golang/prometheus"

	"accountexport/events"
	"accountexport/internal/auth"
	"accountexport/readmodel"
)

// exports is where documents come from: [readmodel.Exports].
type exports interface {
	Meta(ctx context.Context, account events.UUID) (readmodel.Meta, error)
	Open(ctx context.Context, account events.UUID) (*readmodel.Document, error)
}

// verifier says whom a token stands for: [auth.Verifier].
type verifier interface {
	Verify(ctx context.Context, token string) (auth.Identity, error)
}

// exportPath is where a user finds their export.
const exportPath = "/v1/account/export"

// New makes the API's handler and registers its metrics.
func New(x exports, v verifier, reg prometheus.Registerer, log *slog.Logger) http.Handler {
	m := newMetrics(reg)
	router := mux.NewRouter().SkipClean(true) // a path that is not clean is another path
	router.Handle(exportPath, &exportHandler{exports: x, verifier: v, metrics: m, log: log}).
		Methods(http.MethodGet, http.MethodHead)
	router.NotFoundHandler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		write(w, problemNoSuchPath)
	})
	router.MethodNotAllowedHandler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Allow", "GET, HEAD") // one resource, so one answer
		write(w, problemMethodNotAllowed)
	})
	return &instrumented{next: router, metrics: m, log: log}
}

// NewServer serves the handler with limits: a client has 5 seconds to send its
// header of 32 KiB, and an answer has 2 minutes to be taken. See [Coalesce] for
// the listener to serve it on.
func NewServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      2 * time.Minute,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ConnState:         answerEnded,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}
