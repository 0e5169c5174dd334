// Package ops lets operators watch a running program: metrics, liveness, readiness
// and profiles, on an address of their own.
//
// Liveness says that the process answers, and depends on nothing else. Readiness
// depends on the program's checks, and ends for good when it drains. Profiles show
// memory contents and are served only to clients on the same machine.
package ops

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Check is one condition of the program's readiness. Ready returns what is wrong, or
// nil. Its context ends after 3 seconds, which all checks of one request share.
type Check struct {
	Name  string
	Ready func(ctx context.Context) error
}

const checkTimeout = 3 * time.Second

// Registry creates a registry with the collectors of Go, of the process and of the
// build.
func Registry() *prometheus.Registry {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), build())
	return reg
}

// Server is the admin server: /metrics, /livez, /readyz, and /debug/pprof/ for
// clients on the same machine.
type Server struct {
	// Set before Run.
	http   *http.Server
	checks []Check
	state  func() string

	draining atomic.Bool // set by Drain, read by /readyz
}

// NewServer creates a server of the registry's metrics and the checks' results. log
// receives the failures of both.
func NewServer(reg *prometheus.Registry, log *slog.Logger, checks ...Check) *Server {
	s := &Server{checks: checks, state: func() string { return "" }}
	mux := http.NewServeMux()
	// if the scraper asks for it
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{Registry: reg, EnableOpenMetrics: true,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelError)}))
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "ok\n") })
	mux.HandleFunc("GET /readyz", s.ready)
	mux.Handle("/debug/pprof/", local(pprof.Index))
	mux.Handle("/debug/pprof/cmdline", local(commandLine))
	mux.Handle("/debug/pprof/profile", local(pprof.Profile))
	mux.Handle("/debug/pprof/symbol", local(pprof.Symbol))
	mux.Handle("/debug/pprof/trace", local(pprof.Trace))
	s.http = &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      2 * time.Minute, // a CPU profile takes as long as was requested
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	return s
}

// ReportState sets what /readyz answers while the program is ready: the state, or
// "ok" where it is empty. It has to be called before Run.
func (s *Server) ReportState(state func() string) { s.state = state }

// Run serves on the listener until ctx ends. Requests under way then have 2 seconds
// to finish.
func (s *Server) Run(ctx context.Context, l net.Listener) error {
	return Serve(ctx, s.http, l, 2*time.Second)
}

// Drain makes the program unready for good, so that no more work is sent to it while
// it shuts down.
func (s *Server) Drain() { s.draining.Store(true) }

func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	ready, text := s.readiness(r.Context())
	status := http.StatusOK
	if !ready {
		status = http.StatusServiceUnavailable
	}
	answer(w, status, text)
}

// readiness is whether the program is ready, and the text that says so or what keeps it.
func (s *Server) readiness(ctx context.Context) (ready bool, text string) {
	if s.draining.Load() {
		return false, "shutting down\n"
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	var failing strings.Builder
	for _, c := range s.checks {
		if err := c.Ready(ctx); err != nil {
			fmt.Fprintf(&failing, "%s: %v\n", c.Name, err)
		}
	}
	if failing.Len() > 0 {
		return false, failing.String()
	}
	return true, cmp.Or(s.state(), "ok") + "\n"
}

func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text))
}

// Serve runs the server on the listener until ctx ends or the server fails. Requests
// under way at the end of ctx have the timeout to finish; then their connections are
// closed, and Serve returns an error.
func Serve(ctx context.Context, server *http.Server, l net.Listener, timeout time.Duration) error {
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	shutdownCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	err := server.Shutdown(shutdownCtx)
	if err != nil {
		err = errors.Join(fmt.Errorf("requests on %s did not finish within %s: %w", l.Addr(), timeout, err), server.Close())
	}
	<-failed
	return err
}
