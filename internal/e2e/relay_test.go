package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/internal/local/postgres"
	"accountexport/internal/local/tcpproxy"
	"accountexport/internal/local/testrun"
	"accountexport/internal/stream"
	"accountexport/outbox"
	"accountexport/projections"
)

// outboxSystem is a system whose database has an outbox as well, and beside it a table
// of all that was committed to it, which is the truth whatever a writer was told.
type outboxSystem struct {
	*system
	writes *pgxpool.Pool
}

func newOutboxSystem(t *testing.T) *outboxSystem {
	t.Helper()
	s := &outboxSystem{system: newServer(t, postgres.Options{Settings: map[string]string{"max_connections": "200"}})}
	s.shortWindow(t)
	s.settings = maps.Clone(s.settings)
	s.settings["OUTBOX_DATABASE_URL"] = s.database
	conn := s.migrateOutbox(t)
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), `
CREATE TABLE public.truth (subject text, number bigint, id text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.truth VALUES (NEW.subject, NEW.number, NEW.id); RETURN NULL; END $$;
CREATE TRIGGER note AFTER INSERT ON outbox.messages FOR EACH ROW EXECUTE FUNCTION note()`); err != nil {
		t.Fatal(err)
	}
	cfg, err := pgxpool.ParseConfig(s.database)
	if err != nil {
		t.Fatal(err)
	}
	cfg.MaxConns = 60
	if s.writes, err = pgxpool.NewWithConfig(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.writes.Close)
	return s
}

var errRolledBack = errors.New("rolled back")

// write writes increments, of which each counts, until ctx ends: a third of the
// transactions is rolled back.
func (s *outboxSystem) write(ctx context.Context, t *testing.T, writer int, random *rand.Rand, written *atomic.Int64) {
	for n := 0; ctx.Err() == nil; n++ {
		var messages []events.Message
		for k := range 1 + random.IntN(3) {
			account := events.UUID{0: 7, 1: byte(random.IntN(40)), 15: 1}
			m, err := events.NewQuotaUsageIncremented(events.Meta{ID: fmt.Sprintf("%d-%d-%d", writer, n, k), Source: "/test", Time: events.TimeOf(time.Now())}, account,
				events.QuotaUsageIncremented{QuotaUsage: events.QuotaUsage{TeamID: account, UsageDate: "2026-05-01", SandboxCreates: 1}})
			if err != nil {
				t.Error(err)
				return
			}
			messages = append(messages, m)
		}
		limit, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		err := pgx.BeginFunc(limit, s.writes, func(tx pgx.Tx) error {
			if err := outbox.Write(limit, tx, messages...); err != nil {
				return err
			}
			if random.IntN(3) == 0 {
				return errRolledBack
			}
			return nil
		})
		cancel()
		switch {
		case err == nil:
			written.Add(int64(len(messages)))
		case !errors.Is(err, errRolledBack): // the server is away
			time.Sleep(50 * time.Millisecond)
		}
		time.Sleep(time.Duration(random.IntN(40)) * time.Millisecond)
	}
}

// drained waits until the outbox is empty.
func (s *outboxSystem) drained(t *testing.T) {
	t.Helper()
	eventually(t, "an empty outbox", time.Minute, func(ctx context.Context) error {
		var n int
		err := s.writes.QueryRow(ctx, `SELECT count(*) FROM outbox.messages`).Scan(&n)
		if err == nil && n > 0 {
			err = fmt.Errorf("%d messages wait", n)
		}
		return err
	})
}

// check holds the stream against what was committed.
func (s *outboxSystem) check(t *testing.T) {
	t.Helper()
	rows, err := s.writes.Query(t.Context(), `SELECT subject, id FROM public.truth ORDER BY subject, number`)
	if err != nil {
		t.Fatal(err)
	}
	want, got, n := map[string][]string{}, map[string][]string{}, 0
	var subject, id string
	if _, err := pgx.ForEachRow(rows, []any{&subject, &id}, func() error {
		want[subject] = append(want[subject], id)
		n++
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.client.ReadAll(t.Context(), func(m projections.Message) error {
		got[m.Subject] = append(got[m.Subject], stream.MessageID(m))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d events of %d accounts", n, len(want))
	if n == 0 {
		t.Error("nothing was written")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-committed +published:\n%s", diff)
	}
}

// through is a database URL by way of a proxy.
func through(t *testing.T, database string, p *tcpproxy.Proxy) string {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = p.Addr()
	return u.String()
}

// TestRelayUnderFaults: beside 50 writers relays are killed hard at random moments,
// PostgreSQL and NATS restarted and connections cut, with a window for duplicates that
// helps nobody. Each event that was committed is in the stream once, in the order of
// the commits of its account.
func TestRelayUnderFaults(t *testing.T) {
	t.Parallel()
	seed := testrun.Seed(t)
	random := rand.New(rand.NewPCG(seed, 20))
	s := newOutboxSystem(t)
	u, err := url.Parse(s.database)
	if err != nil {
		t.Fatal(err)
	}
	toNATS, toPostgres := tcpproxy.ForTest(t, s.nats.Addr()), tcpproxy.ForTest(t, u.Host)
	settings := maps.Clone(s.settings)
	settings["NATS_URL"], settings["OUTBOX_DATABASE_URL"] = "nats://"+toNATS.Addr(), through(t, s.database, toPostgres)
	settings["ADMIN_ADDR"] = "127.0.0.1:0"

	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	var written atomic.Int64
	for w := range 50 {
		writers.Go(func() { s.write(ctx, t, w, rand.New(rand.NewPCG(seed, uint64(100+w))), &written) })
	}
	relays := []*process{launch(t, "projector", settings, "relay"), launch(t, "projector", settings, "relay")}
	faults := map[string]int{}
	for round := range testrun.AtLength(40, 300) {
		before := written.Load()
		eventually(t, "writing going on", time.Minute, func(context.Context) error {
			if n := written.Load() - before; n < 20 {
				return fmt.Errorf("%d events", n)
			}
			return nil
		})
		time.Sleep(time.Duration(random.IntN(300)) * time.Millisecond)
		kind := random.IntN(8)
		if round%10 == 5 {
			kind = 4 + round/10%2
		} else if kind == 4 || kind == 5 {
			kind = 0
		}
		which := random.IntN(2)
		switch kind {
		case 0, 1, 2:
			faults["killed"]++
			relays[which].kill()
			relays[which] = launch(t, "projector", settings, "relay")
		case 3:
			faults["ended"]++
			relays[which].stop(t)
			relays[which] = launch(t, "projector", settings, "relay")
		case 4:
			faults["PostgreSQL crashed"]++
			if err := errors.Join(s.pg.StopImmediate(t.Context()), s.pg.Restart(t.Context())); err != nil {
				t.Fatal(err)
			}
		case 5:
			faults["NATS killed"]++
			if err := s.nats.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
		case 6:
			faults["NATS cut"]++
			toNATS.Cut()
		case 7:
			faults["PostgreSQL cut"]++
			toPostgres.Cut()
		}
	}
	stop()
	writers.Wait()
	t.Log(faults)
	s.drained(t)
	for _, r := range relays {
		r.stop(t)
	}
	s.check(t)
}

// TestFrozenRelay: a relay is frozen in the middle of its work, its session is ended, and
// another one takes over. Then it thaws, and goes on with what it had in hand.
func TestFrozenRelay(t *testing.T) {
	t.Parallel()
	s := newOutboxSystem(t)
	seed := testrun.Seed(t)
	for round := range testrun.AtLength(4, 30) {
		ctx, stop := context.WithCancel(t.Context())
		var writers sync.WaitGroup
		var written atomic.Int64
		for w := range 20 {
			writers.Go(func() {
				s.write(ctx, t, round*1000+w, rand.New(rand.NewPCG(seed, uint64(round*1000+w))), &written)
			})
		}
		settings := maps.Clone(s.settings)
		settings["ADMIN_ADDR"] = "127.0.0.1:0"
		frozen := launch(t, "projector", settings, "relay")
		eventually(t, "relaying", 30*time.Second, func(context.Context) error {
			if !strings.Contains(frozen.out.tail(1<<20), "relaying the outbox") {
				return errors.New("not yet")
			}
			return nil
		})
		time.Sleep(time.Duration(rand.IntN(500)) * time.Millisecond)
		frozen.signal(syscall.SIGSTOP)
		other := launch(t, "projector", settings, "relay")
		if _, err := s.writes.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted
			AND pid IN (SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'accountexport relay%')`); err != nil {
			t.Fatal(err)
		}
		time.Sleep(300 * time.Millisecond)
		stop()
		writers.Wait()
		s.drained(t)
		frozen.signal(syscall.SIGCONT)
		eventually(t, "the thawed one standing by", 30*time.Second, func(context.Context) error {
			if !strings.Contains(frozen.out.tail(1<<20), "standing by") {
				return errors.New("not yet")
			}
			return nil
		})
		frozen.stop(t)
		other.stop(t)
	}
	s.check(t)
}
