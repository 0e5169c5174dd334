package console

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/internal/acts"
	"accountexport/internal/local/natsserver"
	"accountexport/internal/local/postgres"
	"accountexport/internal/local/testrun"
	"accountexport/internal/stream"
	"accountexport/projections/engine"
	"accountexport/readmodel"
	"accountexport/readmodel/store"
)

// atOnce is how many tests run side by side. Most of each is waiting.
const atOnce = "5"

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", atOnce); err != nil {
		panic(err) // package testing defines the flag
	}
	os.Exit(postgres.Main(m))
}

// stack is a console of a real stream and a real database, with a projector that runs.
type stack struct {
	client *stream.Client
	pool   *pgxpool.Pool // of the console; every statement of it is counted
	count  *counter
	url    string
	c      *Console
	stop   func() // the projector
}

// counter is what the console's statements were.
type counter struct{ statements chan string }

// newStack starts everything. change changes the console's configuration.
func newStack(t *testing.T, change ...func(*Config)) *stack {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	s := &stack{count: &counter{statements: make(chan string, 1<<16)}}
	database := postgres.TestDatabase(t)
	if err := readmodel.Migrate(t.Context(), database); err != nil {
		t.Fatal(err)
	}
	nats := natsserver.ForTest(t)
	var err error
	if s.client, err = stream.Connect(t.Context(), stream.Config{URL: nats.URL(), Logger: quiet}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.client.Close)
	if _, err := s.client.Provision(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.runProjector(t, database)

	cfg, err := pgxpool.ParseConfig(database)
	if err != nil {
		t.Fatal(err)
	}
	cfg.ConnConfig.Tracer = s.count
	if s.pool, err = pgxpool.NewWithConfig(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.pool.Close)
	config := Config{Pool: s.pool, Waiting: "NATS", Takeover: 5 * time.Second, User: "tester", Logger: quiet,
		Connect: func(ctx context.Context) (acts.Target, error) {
			client, err := stream.Connect(ctx, stream.Config{URL: nats.URL(), Logger: quiet})
			return acts.NewTarget(client, s.pool), err
		}}
	for _, f := range change {
		f(&config)
	}
	if s.c, err = New(config); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.c.Run(ctx) }()
	server := httptest.NewServer(s.c)
	t.Cleanup(func() {
		cancel()
		server.CloseClientConnections()
		server.Close()
		if err := <-ended; err != nil {
			t.Errorf("the console has ended: %v", err)
		}
	})
	s.url = server.URL
	testrun.Eventually(t, "the console is connected", func() bool { return s.c.target.Load() != nil })
	return s
}

// runProjector follows the stream until the test ends, or stop is called.
func (s *stack) runProjector(t *testing.T, database string) {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	st := store.NewStore(pool, "test-replica", quiet)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- engine.New(s.client, st, engine.Options{Logger: quiet}).Run(ctx) }()
	stopped := false
	s.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		<-ended
		closing, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		st.Close(closing)
		pool.Close()
	}
	t.Cleanup(s.stop)
	testrun.Eventually(t, "a generation is live", func() bool {
		_, err := readmodel.LiveGeneration(t.Context(), pool)
		return err == nil
	})
}

// publish publishes an event that was made without an error, waits until it is projected,
// and gives its position.
func (s *stack) publish(t *testing.T, m events.Message, err error) uint64 {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	position, err := s.client.PublishRaw(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	s.projected(t, position)
	return position
}

// projected waits until a position is projected.
func (s *stack) projected(t *testing.T, position uint64) {
	t.Helper()
	testrun.Eventually(t, fmt.Sprintf("position %d is projected", position), func() bool {
		g, err := readmodel.LiveGeneration(t.Context(), s.pool)
		if err != nil {
			return false
		}
		lowest, err := readmodel.LowestPosition(t.Context(), s.pool, g.Number)
		return err == nil && lowest >= position
	})
}

// meta is an event's envelope, as of now.
func meta(id string) events.Meta {
	return events.Meta{ID: id, Source: "/test", Time: events.TimeOf(time.Now())}
}

// get asks for a page, and requires a status.
func (s *stack) get(t *testing.T, path string, want int) string {
	t.Helper()
	resp, err := http.Get(s.url + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != want {
		t.Fatalf("GET %s: status %d, want %d:\n%s", path, resp.StatusCode, want, b)
	}
	return string(b)
}

// getJSON asks the JSON API.
func (s *stack) getJSON(t *testing.T, path string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(s.get(t, path, http.StatusOK)), into); err != nil {
		t.Fatalf("GET %s: %v", path, err)
	}
}

// act asks for an act by the JSON API, waits until it has ended, and requires a status of the
// first answer.
func (s *stack) act(t *testing.T, name string, fields map[string]string, want int) (v jobView) {
	t.Helper()
	b, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post(s.url+"/api/acts/"+name, "application/json", strings.NewReader(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode == http.StatusAccepted && want == http.StatusOK { // it takes longer
		testrun.Eventually(t, name+" has ended", func() bool {
			v = jobView{}
			s.getJSON(t, "/api/jobs/"+actOf(body), &v)
			return v.Ended != nil
		})
		return v
	}
	if resp.StatusCode != want {
		t.Fatalf("act %s: status %d, want %d:\n%s", name, resp.StatusCode, want, body)
	}
	if want == http.StatusOK {
		err = json.Unmarshal(body, &v)
	}
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// actOf is the id of the act that an answer is about.
func actOf(answer []byte) string {
	var v jobView
	_ = json.Unmarshal(answer, &v)
	return v.ID
}

// TraceQueryStart implements [pgx.QueryTracer]: what only frames a transaction is left out.
func (k *counter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	switch word, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(data.SQL)), " "); word {
	case "begin", "commit", "rollback", "set", "-- ping", "":
	default:
		k.statements <- data.SQL
		if own, ok := ctx.Value(ownStatements{}).(*[]string); ok {
			*own = append(*own, data.SQL)
		}
	}
	return ctx
}

func (k *counter) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// ownStatements is the key of a list in a context, for the statements of one request alone.
type ownStatements struct{}

// statementsOf asks for a page, and gives the statements of that request, without those of
// the looks beside it.
func (s *stack) statementsOf(t *testing.T, path string) (own []string) {
	t.Helper()
	r := httptest.NewRequestWithContext(context.WithValue(t.Context(), ownStatements{}, &own), http.MethodGet, "http://127.0.0.1"+path, nil)
	r.RemoteAddr = "127.0.0.1:1"
	w := httptest.NewRecorder()
	s.c.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		t.Fatalf("GET %s: status %d: %s", path, w.Code, w.Body)
	}
	return own
}

// taken are the statements since it was called last.
func (k *counter) taken() (all []string) {
	for {
		select {
		case s := <-k.statements:
			all = append(all, s)
		default:
			return all
		}
	}
}
