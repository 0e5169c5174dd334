package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/trace"

	"accountexport/events"
	"accountexport/internal/local/postgres"
	"accountexport/internal/local/testrun"
	"accountexport/outbox"
)

func TestMain(m *testing.M) { os.Exit(postgres.Main(m)) }

// open is a database with an outbox.
func open(t testing.TB) *pgxpool.Pool {
	t.Helper()
	url := postgres.TestDatabase(t)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if err := outbox.Migrate(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	pool, err := pgxpool.New(t.Context(), url+"&pool_max_conns=60")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func account(n int) events.UUID { return events.UUID{0: byte(n), 15: 1} }

func email(t testing.TB, id string, account events.UUID) events.Message {
	t.Helper()
	m, err := events.NewUserEmailChanged(events.Meta{ID: id, Source: "/test", Time: events.TimeOf(time.Now())}, account,
		events.UserEmailChanged{Email: "jsmith@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func write(ctx context.Context, pool *pgxpool.Pool, messages ...events.Message) error {
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error { return outbox.Write(ctx, tx, messages...) })
}

type row struct {
	Subject string
	Number  int64
	ID      string
}

func rows(t testing.TB, pool *pgxpool.Pool) []row {
	t.Helper()
	found, err := pool.Query(t.Context(), `SELECT subject, number, id FROM outbox.messages ORDER BY seq`)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(found, pgx.RowToStructByPos[row])
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestEventsAreNumberedWithinTheirSubject(t *testing.T) {
	pool := open(t)
	a, b := account(1), account(2)
	if err := write(t.Context(), pool, email(t, "1", b), email(t, "2", a), email(t, "3", b)); err != nil {
		t.Fatal(err)
	}
	if err := write(t.Context(), pool, email(t, "4", a), email(t, "5", b)); err != nil {
		t.Fatal(err)
	}
	if err := write(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	as, bs := events.AccountSubject(a), events.AccountSubject(b)
	want := []row{{bs, 1, "1"}, {as, 1, "2"}, {bs, 2, "3"}, {as, 2, "4"}, {bs, 3, "5"}}
	if diff := cmp.Diff(want, rows(t, pool)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestWhatIsVisibleIsABeginning: beside 50 writers, of which a third roll back,
// everybody sees of each subject numbers without a gap, in the order of seq, and what
// comes later comes behind. An event becomes visible after those before it.
func TestWhatIsVisibleIsABeginning(t *testing.T) {
	pool := open(t)
	seed := testrun.Seed(t)
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	var mu sync.Mutex
	committed := map[string]bool{}
	for w := range 50 {
		random := rand.New(rand.NewPCG(seed, uint64(w)))
		writers.Go(func() {
			for i := range testrun.AtLength(40, 400) {
				var messages []events.Message
				var ids []string
				for k := range 1 + random.IntN(3) {
					id := fmt.Sprintf("%d-%d-%d", w, i, k)
					ids = append(ids, id)
					messages = append(messages, email(t, id, account(random.IntN(10))))
				}
				rolledBack := errors.New("rolled back")
				err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
					if err := outbox.Write(t.Context(), tx, messages...); err != nil {
						return err
					}
					time.Sleep(time.Duration(random.IntN(3)) * time.Millisecond)
					if random.IntN(3) == 0 {
						return rolledBack
					}
					return nil
				})
				switch {
				case err == nil:
					mu.Lock()
					for _, id := range ids {
						committed[id] = true
					}
					mu.Unlock()
				case !errors.Is(err, rolledBack):
					t.Error(err)
					return
				}
			}
		})
	}
	watched := make(chan int)
	go func() {
		looks, seen := 0, map[string]int64{}
		for done := false; !done; looks++ {
			done = ctx.Err() != nil
			last := map[string]int64{}
			for _, r := range rows(t, pool) {
				if last[r.Subject]++; r.Number != last[r.Subject] {
					t.Errorf("%s: number %d is visible after %d", r.Subject, r.Number, last[r.Subject]-1)
					done = true
				}
			}
			for subject, n := range seen {
				if last[subject] < n {
					t.Errorf("%s: %d were visible, and now %d", subject, n, last[subject])
				}
			}
			seen = last
		}
		watched <- looks
	}()
	writers.Wait()
	stop()
	if looks := <-watched; looks < 5 {
		t.Errorf("only %d looks", looks)
	}
	all := rows(t, pool)
	for _, r := range all {
		if !committed[r.ID] {
			t.Errorf("%s was rolled back", r.ID)
		}
	}
	if len(all) != len(committed) || len(all) == 0 {
		t.Errorf("%d are there, %d were committed", len(all), len(committed))
	}
}

func TestAnOpenTransactionHoldsUpItsOwnAccounts(t *testing.T) {
	pool := open(t)
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := outbox.Write(t.Context(), tx, email(t, "1", account(1))); err != nil {
		t.Fatal(err)
	}
	if err := write(t.Context(), pool, email(t, "2", account(2))); err != nil {
		t.Fatal(err)
	}
	waits := make(chan error, 1)
	go func() { waits <- write(t.Context(), pool, email(t, "3", account(1))) }()
	for held := 0; held == 0; {
		if err := pool.QueryRow(t.Context(), `SELECT count(*) FROM pg_locks WHERE NOT granted`).Scan(&held); err != nil {
			t.Fatal(err)
		}
	}
	if got := rows(t, pool); len(got) != 1 || got[0].ID != "2" {
		t.Errorf("meanwhile: %v", got)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-waits; err != nil {
		t.Fatal(err)
	}
	want := []row{{events.AccountSubject(account(2)), 1, "2"}, {events.AccountSubject(account(1)), 1, "3"}}
	if diff := cmp.Diff(want, rows(t, pool)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestWhatTheProjectorWouldParkIsRefused(t *testing.T) {
	pool := open(t)
	ctx := t.Context()
	sound := email(t, "1", account(1))
	unsound := sound
	unsound.Data = []byte(strings.Replace(string(sound.Data), `"email":"jsmith@example.com"`, `"mail":"jsmith@example.com"`, 1))
	elsewhere := unsound
	elsewhere.Subject = "controlplane.account.*"
	anonymous := sound
	anonymous.Data = []byte(`{}`)
	owned := sound
	owned.Header = map[string][]string{"Content-Type": {"application/cloudevents+json"}, "nats-rollup": {"all"}}
	tx, err := pool.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(ctx)
	invalid := (*events.Invalid)(nil)
	if err := outbox.Write(ctx, tx, sound, unsound); !errors.As(err, &invalid) || invalid.Field != "data.email" || !strings.Contains(err.Error(), "event 2 of 2") {
		t.Errorf("without an e-mail: %v", err)
	}
	parks := outbox.Writer{Park: true}
	if err := parks.Write(ctx, tx, elsewhere); !errors.As(err, &invalid) {
		t.Errorf("on no subject: %v", err)
	}
	if err := parks.Write(ctx, tx, anonymous); err == nil || !strings.Contains(err.Error(), "no id") {
		t.Errorf("without an id: %v", err)
	}
	if err := outbox.Write(ctx, tx, owned); err == nil || !strings.Contains(err.Error(), "nats-rollup") {
		t.Errorf("with a header of the relay's: %v", err)
	}
	if err := parks.Write(ctx, tx, unsound); err != nil {
		t.Errorf("the transaction goes on, and parking was wanted: %v", err)
	}
	if err := outbox.Write(ctx, tx, sound); !errors.Is(err, outbox.ErrRepeatedID) {
		t.Errorf("with the same id: %v", err)
	}
}

func TestMigratingMayBeRepeated(t *testing.T) {
	pool := open(t)
	errs := make(chan error, 4)
	for range cap(errs) {
		go func() {
			errs <- pool.AcquireFunc(t.Context(), func(c *pgxpool.Conn) error { return outbox.Migrate(t.Context(), c.Conn()) })
		}()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if err := write(t.Context(), pool, email(t, "1", account(1))); err != nil {
		t.Error(err)
	}
}

// TestEventsByDatabaseFunctions: what triggers and other languages write is what the
// projector accepts; what is wrong is refused in words.
func TestEventsByDatabaseFunctions(t *testing.T) {
	pool := open(t)
	ctx := t.Context()
	subject := events.AccountSubject(account(1))
	for i, sql := range []string{
		`SELECT outbox.write($1, jsonb_build_object('type', 'controlplane.user.email_changed.v1', 'source', '/t', 'data', jsonb_build_object('email', 'a@b')))`,
		`SELECT outbox.write($1, '{"type": "controlplane.user.email_verified.v1", "source": "/t", "id": "mine", "time": "2026-05-01T10:00:00Z", "subject": null}')`,
		`SELECT outbox.write($1, 'raw', '{"Content-Type": ["application/cloudevents+json"]}', convert_to(
			'{"specversion":"1.0","id":"raw","source":"/t","type":"controlplane.user.restored.v1","time":"2026-05-01T10:00:00Z","data":{}}', 'UTF8'))`,
	} {
		if _, err := pool.Exec(ctx, sql, subject); err != nil {
			t.Errorf("%d: %v", i+1, err)
		}
	}
	found, err := pool.Query(ctx, `SELECT subject, header, data FROM outbox.messages ORDER BY seq`)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for found.Next() {
		var m events.Message
		if err := found.Scan(&m.Subject, &m.Header, &m.Data); err != nil {
			t.Fatal(err)
		}
		if e, _, err := events.Decode(m); err != nil || e.Data == nil {
			t.Errorf("%s: %v", m.Data, err)
		}
		n++
	}
	if n != 3 || found.Err() != nil {
		t.Errorf("%d events, %v", n, found.Err())
	}
	for _, test := range []struct{ sql, says string }{
		{`SELECT outbox.write($1, '[]')`, "has to be a JSON object"},
		{`SELECT outbox.write($1, '{"source": "/t"}')`, "no type"},
		{`SELECT outbox.write($1, '{"type": "t"}')`, "no source"},
		{`SELECT outbox.write($1, '{"type": "t", "source": "s", "id": 7}')`, "id is 7"},
		{`SELECT outbox.write($1, '{"type": "t", "source": "s", "partitionkey": "else"}')`, "partitionkey"},
		{`SELECT outbox.write($1, '{"type": "t", "source": "s", "data": 1}')`, "data is a JSON object"},
		{`SELECT outbox.write($1 || '0', '{"type": "t", "source": "s"}')`, "subjects_subject_check"},
		{`SELECT outbox.write($1, 'x', '{"Nats-Rollup": ["all"]}', '')`, "begins with Nats-"},
		{`SELECT outbox.write($1, '', NULL, '')`, "messages_id_check"},
	} {
		_, err := pool.Exec(ctx, test.sql, subject)
		if refused := (*pgconn.PgError)(nil); !errors.As(err, &refused) || !strings.Contains(refused.Message+refused.ConstraintName, test.says) {
			t.Errorf("%s: %v; want it to say %q", test.sql, err, test.says)
		}
	}
}

// TestHeadersThatTheRelayCannotReadAreRefused, by the function and by the table.
func TestHeadersThatTheRelayCannotReadAreRefused(t *testing.T) {
	pool := open(t)
	subject := events.AccountSubject(account(1))
	for _, header := range []string{`{"Content-Type": "text/plain"}`, `{"a": [1]}`, `{"a": [null]}`, `{"a": null}`, `["a"]`, `"a"`, `null`,
		`{"a": ["b\r\nNats-Msg-Id: c"]}`, `{"a\nb": ["c"]}`, `{"": ["c"]}`} {
		_, err := pool.Exec(t.Context(), `SELECT outbox.write($1, 'x', $2::jsonb, '')`, subject, header)
		if err == nil || !strings.Contains(err.Error(), "arrays of texts") {
			t.Errorf("%s: %v", header, err)
		}
		_, err = pool.Exec(t.Context(), `INSERT INTO outbox.messages (subject, number, id, header, data) VALUES ($1, 1, 'x', $2::jsonb, '')`, subject, header)
		if refused := (*pgconn.PgError)(nil); !errors.As(err, &refused) || refused.Code != "23514" {
			t.Errorf("into the table, %s: %v", header, err)
		}
	}
	for i, header := range []any{nil, `{}`, `{"Content-Type": ["a", "b"], "ce-x": []}`} {
		if _, err := pool.Exec(t.Context(), `SELECT outbox.write($1, $2, $3::jsonb, '')`, subject, fmt.Sprint(i), header); err != nil {
			t.Error(err)
		}
	}
	m := email(t, "without values", account(1))
	m.Header = maps.Clone(m.Header)
	m.Header["X-Empty"] = nil
	if err := write(t.Context(), pool, m); err != nil {
		t.Errorf("a header without values: %v", err)
	}
}

// TestWhoWritesNeedsNoRightToTheTables, only what the package says.
func TestWhoWritesNeedsNoRightToTheTables(t *testing.T) {
	pool := open(t)
	ctx := t.Context()
	role := fmt.Sprintf("writer_%d", time.Now().UnixNano())
	err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `CREATE ROLE `+role+`; GRANT USAGE ON SCHEMA outbox TO `+role); err != nil {
			return err
		}
		for _, granted := range []bool{false, true} {
			if granted {
				if _, err := tx.Exec(ctx, `GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA outbox TO `+role); err != nil {
					return err
				}
			}
			savepoint, err := tx.Begin(ctx)
			if err != nil {
				return err
			}
			if _, err := savepoint.Exec(ctx, `SET LOCAL ROLE `+role); err != nil {
				return err
			}
			if err := outbox.Write(ctx, savepoint, email(t, "1", account(1))); (err == nil) != granted {
				t.Errorf("granted %v: %v", granted, err)
			}
			if err := savepoint.Rollback(ctx); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, `DROP OWNED BY `+role+`; DROP ROLE `+role)
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestNoticesComeAfterCommitsAndTogether: a thousand commits have far fewer notices,
// and the last one has one after it.
func TestNoticesComeAfterCommitsAndTogether(t *testing.T) {
	pool := open(t)
	conn, err := pgx.ConnectConfig(t.Context(), pool.Config().ConnConfig)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), `LISTEN `+outbox.Channel); err != nil {
		t.Fatal(err)
	}
	n := outbox.NewNotifier(pool, func(err error) { t.Error(err) })
	if err := write(t.Context(), pool, email(t, "1", account(1))); err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		n.Committed()
	}
	n.Close(t.Context())
	// What is sent after them comes after them.
	if _, err := pool.Exec(t.Context(), `SELECT pg_notify($1, 'end')`, outbox.Channel); err != nil {
		t.Fatal(err)
	}
	for got := 0; ; got++ {
		notice, err := conn.WaitForNotification(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if notice.Payload == "end" {
			if got == 0 || got > 100 {
				t.Errorf("%d notices of a thousand commits", got)
			}
			break
		}
	}
}

// TestATraceIsPassedOn: events that are written in a span of OpenTelemetry have its
// traceparent, unless they have one; outside of spans they are as they were.
func TestATraceIsPassedOn(t *testing.T) {
	pool := open(t)
	in := trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2},
		TraceFlags: trace.FlagsSampled}))
	own := email(t, "own", account(2))
	own.Header = maps.Clone(own.Header)
	own.Header["traceparent"] = []string{"their own"}
	for ctx, messages := range map[context.Context][]events.Message{in: {email(t, "in", account(1)), own}, t.Context(): {email(t, "out", account(3))}} {
		if err := write(ctx, pool, messages...); err != nil {
			t.Fatal(err)
		}
	}
	for id, want := range map[string]*string{"in": new("00-01000000000000000000000000000000-0200000000000000-01"), "own": new("their own"), "out": nil} {
		var got *string
		if err := pool.QueryRow(t.Context(), `SELECT header -> 'traceparent' ->> 0 FROM outbox.messages WHERE id = $1`, id).Scan(&got); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", id, d)
		}
	}
}
