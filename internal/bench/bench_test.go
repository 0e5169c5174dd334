package bench

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/internal/local/natsserver"
	"accountexport/internal/local/postgres"
	"accountexport/internal/stream"
	"accountexport/projections/engine"
	"accountexport/readmodel"
	"accountexport/readmodel/store"
)

func TestMain(m *testing.M) { os.Exit(m.Run()) }

// stack is a durable PostgreSQL and a NATS server of their own.
type stack struct {
	nats   *natsserver.Server
	pg     *postgres.Server
	client *stream.Client
	pool   *pgxpool.Pool
}

func newStack(b *testing.B) *stack {
	b.Helper()
	ctx := b.Context()
	s := &stack{nats: natsserver.ForTest(b)}
	var err error
	s.pg, err = postgres.Start(ctx, postgres.Options{Durable: true})
	postgres.Check(b, err)
	b.Cleanup(func() { _ = s.pg.Stop(context.Background()) })
	if s.client, err = stream.Connect(ctx, stream.Config{URL: s.nats.URL(), Logger: quiet()}); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(s.client.Close)
	if _, err := s.client.Provision(ctx); err != nil {
		b.Fatal(err)
	}
	if err := readmodel.Migrate(ctx, s.pg.URL()); err != nil {
		b.Fatal(err)
	}
	if s.pool, err = pgxpool.New(ctx, s.pg.URL()+"&pool_max_conns=20&pool_min_conns=20"); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(s.pool.Close)
	return s
}

// size is one of `make bench`, or of its short form, `make bench-short`, which
// tells what is broken, and roughly what is slow.
func size(whole, short int) int {
	if testing.Short() {
		return short
	}
	return whole
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// run follows the stream until the returned function is called.
func (s *stack) run(b *testing.B, opt engine.Options) (stop func()) {
	b.Helper()
	return s.runAs(b, "bench", opt)
}

// runAs is run for one of several replicas.
func (s *stack) runAs(b *testing.B, name string, opt engine.Options) (stop func()) {
	b.Helper()
	store := store.NewStore(s.pool, name, quiet())
	opt.Logger, opt.Guard = quiet(), stream.Guard
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- engine.New(s.client, store, opt).Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
		store.Close(context.Background())
	}
}

// reached waits until every checkpoint is at the position.
func (s *stack) reached(b *testing.B, position uint64) {
	b.Helper()
	for {
		var low int64
		err := s.pool.QueryRow(b.Context(), `SELECT coalesce(min(position), 0) FROM export.checkpoints`).Scan(&low)
		if err == nil && uint64(low) >= position {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func percentile(d []time.Duration, p float64) time.Duration {
	d = slices.Sorted(slices.Values(d))
	return d[min(len(d)-1, int(float64(len(d))*p))]
}

// table prints a row; the benchmark's own line carries the ratio, too.
func row(b *testing.B, what string, figures ...string) {
	b.Helper()
	fmt.Printf("%-34s %s\n", what, strings.Join(figures, "  "))
}

func rate(n int, d time.Duration) string {
	return fmt.Sprintf("%8.1f thousand/s", float64(n)/d.Seconds()/1000)
}

func message(subject string, header map[string][]string, data []byte) events.Message {
	return events.Message{Subject: subject, Header: header, Data: data}
}

func percent(part, whole time.Duration) string {
	return fmt.Sprintf("%.0f %%", 100*part.Seconds()/whole.Seconds())
}
