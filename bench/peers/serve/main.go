// Command serve answers GET /v1/account/export with the document of the account that the
// access token is of. READ says how it is read: six-queries, json-agg or documents.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/bench/peers/internal/document"
	"accountexport/bench/peers/internal/normalised"
)

// reader reads the document of an account.
type reader func(ctx context.Context, pool *pgxpool.Pool, account string) ([]byte, error)

var readers = map[string]reader{"six-queries": normalised.ReadBySixQueries, "json-agg": normalised.ReadByOneStatement, "documents": document.Read}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	if err := run(ctx, log); err != nil {
		log.Error(err.Error())
		os.Exit(1)
	}
}

func run(ctx context.Context, log *slog.Logger) error {
	read, ok := readers[os.Getenv("READ")]
	if !ok {
		return fmt.Errorf("READ is %q, and has to be six-queries, json-agg or documents", os.Getenv("READ"))
	}
	pool, err := pgxpool.New(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		return err
	}
	defer pool.Close()
	listener, err := net.Listen("tcp", os.Getenv("HTTP_ADDR"))
	if err != nil {
		return err
	}
	fmt.Printf("{\"http\":%q}\n", listener.Addr()) // before anything else, for whoever has started it
	h := &handler{read, pool, log, []byte(os.Getenv("JWT_SECRET")), jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}),
		jwt.WithIssuer(os.Getenv("JWT_ISSUER")), jwt.WithAudience("authenticated"), jwt.WithExpirationRequired())}
	mux := http.NewServeMux()
	mux.Handle("GET /v1/account/export", h)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

type handler struct {
	read   reader
	pool   *pgxpool.Pool
	log    *slog.Logger
	secret []byte
	tokens *jwt.Parser
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	bearer, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	var claims jwt.RegisteredClaims
	if _, err := h.tokens.ParseWithClaims(bearer, &claims, func(*jwt.Token) (any, error) { return h.secret, nil }); err != nil {
		http.Error(w, "the access token is not valid", http.StatusUnauthorized)
		return
	}
	doc, err := h.read(r.Context(), h.pool, claims.Subject)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		http.Error(w, "there is no such account", http.StatusNotFound)
	case err != nil:
		h.log.Error("reading", "error", err)
		http.Error(w, "the database", http.StatusServiceUnavailable)
	default:
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(doc)))
		_, _ = w.Write(doc) // a client that has gone is not told
	}
}
