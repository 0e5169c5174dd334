package e2e

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/internal/local/natsserver"
	"accountexport/internal/local/postgres"
	"accountexport/internal/local/tcpproxy"
	"accountexport/internal/oracle"
	"accountexport/internal/stream"
	"accountexport/internal/workload"
	"accountexport/projections"
	"accountexport/readmodel/admin"
	"accountexport/readmodel/connect"
	"accountexport/readmodel/export"
)

// system is a NATS server, a database, and what the programs are told of them.
type system struct {
	nats     *natsserver.Process
	pg       *postgres.Server // only of a system with a server of its own
	database string           // its URL
	reads    string           // where the API reads, where that is another
	client   *stream.Client
	pool     *pgxpool.Pool
	settings map[string]string
}

// newSystem has a database on the PostgreSQL server that most tests share.
func newSystem(t testing.TB) *system {
	t.Helper()
	return provisioned(t, &system{database: postgres.TestDatabase(t)})
}

// newServer has a PostgreSQL server of its own, for tests that stop it or that
// look at all of it.
func newServer(t testing.TB, opt postgres.Options) *system {
	t.Helper()
	pg, err := postgres.Start(t.Context(), opt)
	postgres.Check(t, err)
	t.Cleanup(func() { _ = pg.Stop(context.Background()) })
	return provisioned(t, &system{pg: pg, database: pg.URL()})
}

func provisioned(t testing.TB, s *system) *system {
	t.Helper()
	return provisionedBy(t, s, binary(t, "projector"))
}

func provisionedBy(t testing.TB, s *system, projector string) *system {
	t.Helper()
	s.nats = natsserver.ProcessForTest(t, binary(t, "natsd"))
	return provisionedAt(t, s, projector, stream.Config{URL: s.nats.URL()})
}

// provisionedAt has its stream where such a client finds it.
func provisionedAt(t testing.TB, s *system, projector string, at stream.Config) *system {
	t.Helper()
	s.connect(t, at)
	eventually(t, "provisioning", time.Minute, func(context.Context) error { // servers find each other by and by
		if out, status := commandFile(t, projector, s.settings, "provision"); status != 0 {
			return fmt.Errorf("exit %d: %s", status, out)
		}
		return nil
	})
	return s
}

// connect says where all is.
func (s *system) connect(t testing.TB, at stream.Config) {
	t.Helper()
	at.Logger = slog.New(slog.DiscardHandler)
	var err error
	if s.client, err = stream.Connect(t.Context(), at); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.client.Close)
	s.openPool(t)
	s.settings = map[string]string{"NATS_URL": at.URL, "NATS_JS_DOMAIN": at.Domain, "DATABASE_URL": s.database, "ADMIN_ADDR": "127.0.0.1:0", "LOG_FORMAT": "text"}
}

func (s *system) openPool(t testing.TB) {
	t.Helper()
	var err error
	if s.pool, err = pgxpool.New(t.Context(), s.database); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.closePool)
}

// databaseAddr is where PostgreSQL listens.
func (s *system) databaseAddr() string {
	c := s.pool.Config().ConnConfig
	return fmt.Sprintf("%s:%d", c.Host, c.Port)
}

// by is the database's URL by way of such a network.
func (s *system) by(t *testing.T, shape tcpproxy.Shape) (url string) {
	t.Helper()
	network := tcpproxy.ForTest(t, s.databaseAddr())
	network.Set(shape)
	return s.through(t, network)
}

// through is the database's URL by way of a network.
func (s *system) through(t *testing.T, network *tcpproxy.Proxy) string {
	t.Helper()
	u, err := url.Parse(s.database)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = network.Addr()
	return u.String()
}

// slowly is the database's URL by way of a network that takes so many bytes a
// second of each connection: whoever writes to it has all waiting that may wait.
func (s *system) slowly(t *testing.T, bytesPerSecond int) (url string) {
	t.Helper()
	return s.by(t, tcpproxy.Shape{Delay: 5 * time.Millisecond, BytesPerSecond: bytesPerSecond})
}

// closePool does not wait for what a test that failed has not given back.
func (s *system) closePool() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	connect.ClosePool(ctx, s.pool)
}

// publish publishes n messages of a workload, paced over about the duration.
func (s *system) publish(ctx context.Context, g *workload.Generator, n int, over time.Duration) error {
	began := time.Now()
	i := 0
	_, err := s.client.PublishAll(ctx, func() (events.Message, bool) {
		if i == n || ctx.Err() != nil {
			return events.Message{}, false
		}
		if wait := time.Until(began.Add(over * time.Duration(i) / time.Duration(n))); wait > 5*time.Millisecond {
			select {
			case <-ctx.Done():
			case <-time.After(wait):
			}
		}
		i++
		m := g.Next()
		return events.Message{Subject: m.Subject, Header: m.Header, Data: m.Data}, true
	})
	return err
}

// caughtUp says what keeps the live generation from having all of the stream.
func (s *system) caughtUp(ctx context.Context) error {
	info, err := s.client.Info(ctx)
	if err != nil {
		return err
	}
	return s.reached(ctx, info.Last)
}

// reached says what keeps the live generation from having all up to a position.
func (s *system) reached(ctx context.Context, position uint64) error {
	st, err := admin.ReadStatus(ctx, s.pool)
	if err != nil {
		return err
	}
	for _, p := range st.Partitions {
		if p.Position < position {
			return fmt.Errorf("partition %d is at %d of %d", p.Partition, p.Position, position)
		}
	}
	return nil
}

// oracle folds the whole stream, read from its start, by the independent
// implementation. each sees every message once it is folded.
func (s *system) oracle(t testing.TB, each ...func(*oracle.Fold, projections.Message)) (*oracle.Fold, int) {
	t.Helper()
	fold, n := oracle.New(), 0
	err := s.client.ReadAll(t.Context(), func(m projections.Message) error {
		fold.Apply(oracle.Message{Position: m.Position, Subject: m.Subject, Header: m.Header, Data: m.Data})
		for _, see := range each {
			see(fold, m)
		}
		n++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return fold, n
}

// verify holds every document, every parked message and every count in the
// database against the oracle.
func (s *system) verify(t testing.TB) (accounts, messages int) {
	t.Helper()
	want, messages := s.oracle(t)
	s.spans(t, messages)
	return s.compare(t, want, messages), messages
}

// spans: messages read from the stream's start, and what the server counts as
// deleted, equal the span, and its list of the deleted is as long.
func (s *system) spans(t testing.TB, messages int) {
	t.Helper()
	info, gone, err := s.client.Deleted(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if uint64(messages)+info.Missing() != info.Last || gone.Count() != info.Missing() {
		t.Errorf("%d messages are read, %d missing and %d listed as deleted, of %d", messages, info.Missing(), gone.Count(), info.Last)
	}
}

func (s *system) compare(t testing.TB, want *oracle.Fold, messages int) (accounts int) {
	t.Helper()
	s.verifyCounts(t, want, messages)
	s.verifyParked(t, want)
	s.saysAll(t)
	exports := export.NewReader(s.pool)
	for _, id := range want.Accounts() {
		w := want.Account(id)
		account, err := events.ParseUUID(id)
		if err != nil {
			t.Fatal(err)
		}
		d, err := exports.Open(t.Context(), account)
		if err != nil {
			t.Fatal(err)
		}
		if d.Position != w.Position || d.Parked != w.Parked || stateName(d.State) != w.State {
			t.Errorf("account %s: %s at %d with %d parked, oracle has %s at %d with %d", id, stateName(d.State), d.Position,
				d.Parked, w.State, w.Position, w.Parked)
		}
		if d.State == export.Complete {
			var body writer
			if _, err := d.WriteTo(&body); err != nil {
				t.Fatal(err)
			}
			if d.TierPosition != w.TierPosition {
				t.Errorf("account %s: tier at %d, oracle has %d", id, d.TierPosition, w.TierPosition)
			}
			if diff := oracle.Diff(w.Document, body); diff != "" {
				t.Errorf("account %s: %s", id, diff)
			}
		}
		d.Close()
	}
	return len(want.Accounts())
}

type writer []byte

func (w *writer) Write(p []byte) (int, error) {
	*w = append(*w, p...)
	return len(p), nil
}

var _ io.Writer = (*writer)(nil)

func stateName(s export.State) oracle.State {
	return map[export.State]oracle.State{export.Unknown: oracle.NeverHeardOf, export.Incomplete: oracle.Incomplete,
		export.Complete: oracle.Complete, export.Erased: oracle.Erased}[s]
}

// verifyCounts: every message is counted, in the outcome that the oracle gives
// it, and in no other.
func (s *system) verifyCounts(t testing.TB, want *oracle.Fold, messages int) {
	t.Helper()
	st, err := admin.ReadStatus(t.Context(), s.pool)
	if err != nil {
		t.Fatal(err)
	}
	got, total := map[oracle.Outcome]int{}, 0
	for _, p := range st.Partitions {
		for _, o := range projections.Outcomes() {
			got[oracle.Outcome(o.String())] += int(p.Tally[o])
			total += int(p.Tally[o])
		}
	}
	wanted := map[oracle.Outcome]int{}
	for _, byOutcome := range want.Totals() {
		for o, n := range byOutcome {
			wanted[o] += n
		}
	}
	for o, n := range wanted {
		if got[o] != n {
			t.Errorf("%d messages counted as %s, oracle has %d", got[o], o, n)
		}
	}
	if total != messages {
		t.Errorf("%d messages counted, and the stream holds %d", total, messages)
	}
}

func (s *system) verifyParked(t testing.TB, want *oracle.Fold) {
	t.Helper()
	parked := map[uint64]string{}
	for _, p := range want.ParkedMessages() {
		parked[p.Position] = p.Account
	}
	err := admin.ListParked(t.Context(), s.pool, admin.ParkedFilter{}, 1<<30, func(m admin.Parked) error {
		account, there := parked[m.Position]
		if delete(parked, m.Position); !there {
			t.Errorf("message %d is parked (%s), and by the oracle it is not", m.Position, m.Reason)
		}
		var got string
		if m.Account != nil {
			got = m.Account.String()
		}
		if got != account {
			t.Errorf("parked message %d belongs to %q, oracle has %q", m.Position, got, account)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for position := range parked {
		t.Errorf("message %d is not parked, and by the oracle it is", position)
	}
}
