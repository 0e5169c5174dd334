package relay

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"accountexport/events"
	"accountexport/internal/local/natsserver"
	"accountexport/internal/local/postgres"
	"accountexport/internal/stream"
	"accountexport/outbox"
	"accountexport/projections"
)

func TestMain(m *testing.M) { os.Exit(postgres.Main(m)) }

// arena is an outbox and a stream, whose window for duplicates is too short to help.
type arena struct {
	pool   *pgxpool.Pool
	nats   *natsserver.Server
	js     jetstream.JetStream
	client *stream.Client
}

func newArena(t testing.TB) *arena {
	t.Helper()
	return arenaOn(t, postgres.TestDatabase(t))
}

// arenaOn has its outbox in this database.
func arenaOn(t testing.TB, url string) *arena {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if err := outbox.Migrate(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	a := &arena{nats: natsserver.ForTest(t)}
	if a.pool, err = pgxpool.New(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.pool.Close)
	nc, err := nats.Connect(a.nats.URL(), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if a.js, err = jetstream.New(nc); err != nil {
		t.Fatal(err)
	}
	a.client = a.connect(t)
	a.provision(t)
	return a
}

func (a *arena) connect(t testing.TB) *stream.Client {
	t.Helper()
	c, err := stream.Connect(t.Context(), stream.Config{URL: a.nats.URL(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func (a *arena) provision(t testing.TB) {
	t.Helper()
	if _, err := a.client.Provision(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.reconfigure(t, func(cfg *jetstream.StreamConfig) { cfg.Duplicates = 100 * time.Millisecond })
}

// reconfigure changes the stream's settings, as an operator would.
func (a *arena) reconfigure(t testing.TB, change func(*jetstream.StreamConfig)) {
	t.Helper()
	s, err := a.js.Stream(t.Context(), "CONTROL_PLANE")
	if err != nil {
		t.Fatal(err)
	}
	cfg := s.CachedInfo().Config
	change(&cfg)
	if _, err := a.js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
}

// relaying is a relay that runs.
type relaying struct {
	*Relay
	stop  context.CancelFunc
	ended chan error
}

func (a *arena) relay(t testing.TB, opt Options) *relaying {
	t.Helper()
	opt.Database = a.pool.Config().ConnConfig
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &relaying{New(a.connect(t), opt), stop, make(chan error, 1)}
	go func() { r.ended <- r.Run(ctx) }()
	t.Cleanup(func() { r.end(t) })
	return r
}

// end ends the relay and gives its error.
func (r *relaying) end(t testing.TB) error {
	t.Helper()
	r.stop()
	return r.wait(t)
}

func (r *relaying) wait(t testing.TB) error {
	t.Helper()
	select {
	case err := <-r.ended:
		r.ended <- err
		return err
	case <-time.After(20 * time.Second):
		t.Fatal("the relay does not end")
		return nil
	}
}

func account(n int) events.UUID { return events.UUID{0: byte(n), 15: 1} }

// increment adds one sandbox to an account's day.
func increment(t testing.TB, id string, account events.UUID) events.Message {
	t.Helper()
	m, err := events.NewQuotaUsageIncremented(events.Meta{ID: id, Source: "/test", Time: events.TimeOf(time.Now())}, account,
		events.QuotaUsageIncremented{QuotaUsage: events.QuotaUsage{TeamID: account, UsageDate: "2026-05-01", SandboxCreates: 1}})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (a *arena) write(t testing.TB, messages ...events.Message) {
	t.Helper()
	if err := pgx.BeginFunc(t.Context(), a.pool, func(tx pgx.Tx) error { return outbox.Write(t.Context(), tx, messages...) }); err != nil {
		t.Fatal(err)
	}
}

// stored are the ids that the stream holds, by subject.
func (a *arena) stored(t testing.TB) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	err := a.client.ReadAll(t.Context(), func(m projections.Message) error {
		out[m.Subject] = append(out[m.Subject], stream.MessageID(m))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// drained waits until nothing waits in the outbox, but what is held up.
func (a *arena) drained(t testing.TB, left int64) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d messages left", left), func() (bool, string) {
		s, err := ReadStatus(t.Context(), a.pool)
		return err == nil && s.Pending == left, fmt.Sprintf("%+v, %v", s, err)
	})
}

func eventually(t testing.TB, what string, holds func() (bool, string)) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		ok, is := holds()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within half a minute: %s", what, is)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func contains(err error, text string) bool { return err != nil && strings.Contains(err.Error(), text) }
