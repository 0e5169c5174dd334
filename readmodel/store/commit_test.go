package store_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/readmodel/export"
	"accountexport/readmodel/internal/readmodeltest"
	"accountexport/readmodel/store"
)

// sentWhole notes the most bytes of arguments that one round trip, and one statement, had.
// Goroutines of the store call it as well.
type sentWhole struct {
	mu               sync.Mutex
	batch, statement int
}

func (s *sentWhole) TraceBatchStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	n := 0
	for _, q := range data.Batch.QueuedQueries {
		n += argumentBytes(q.Arguments)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.batch = max(s.batch, n)
	return ctx
}

func (s *sentWhole) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}
func (s *sentWhole) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData)     {}

func (s *sentWhole) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.statement = max(s.statement, argumentBytes(data.Args))
	return ctx
}

func (s *sentWhole) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func argumentBytes(args []any) (n int) {
	for _, a := range args {
		if bodies, ok := a.([][]byte); ok {
			for _, b := range bodies {
				n += len(b)
			}
		}
	}
	return n
}

// TestALargeBatchIsNotEncodedWhole: of few accounts with large items, a batch can hold as
// much as of many. What is encoded at once stays small, whatever kind of row it is of: pgx
// would else hold the batch again, more than twice.
func TestALargeBatchIsNotEncodedWhole(t *testing.T) {
	t.Parallel()
	const n = 100
	large := strings.Repeat("x", 60_000)
	pool, _ := readmodeltest.Open(t)
	sent := &sentWhole{}
	s := store.NewStore(readmodeltest.PoolWith(t, pool, func(c *pgxpool.Config) { c.ConnConfig.Tracer = sent }), "ours", readmodeltest.Quiet)
	t.Cleanup(func() { s.Close(context.Background()) })
	a := readmodeltest.NewAccount(t, s, readmodeltest.Acquire(t, s), readmodeltest.AccountID)
	a.Register()
	if err := a.Commit(readmodeltest.FreeTier); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		metadata := []byte(`{"x":"` + large + `"}`)
		a.Apply(events.NewSandboxCreated(a.Meta(), a.ID, events.SandboxCreated{ID: fmt.Sprint("sbx-", i), Template: "t", Metadata: metadata}))
		a.Apply(events.NewSandboxMetadataUpdated(a.Meta(), a.ID, events.SandboxMetadataUpdated{ID: fmt.Sprint("never-", i), Metadata: metadata}))
	}
	if err := a.Commit(); err != nil {
		t.Fatal(err)
	}
	sent.mu.Lock()
	defer sent.mu.Unlock()
	if sent.batch > 2<<20 || sent.statement > 1<<20 || sent.statement == 0 {
		t.Errorf("%d bytes were encoded for one round trip, and %d for one statement", sent.batch, sent.statement)
	}
	want, _, err := a.State.Document(readmodeltest.FreeTier.Body)
	if err != nil {
		t.Fatal(err)
	}
	if _, got := readmodeltest.Read(t, export.NewReader(pool), a.ID); got != string(want) {
		t.Errorf("%d bytes are stored, want %d", len(got), len(want))
	}
	var waiting int
	if err := pool.QueryRow(t.Context(), `SELECT count(*) FROM export_g1.account_waiting`).Scan(&waiting); err != nil || waiting != n {
		t.Errorf("%d patches wait, want %d: %v", waiting, n, err)
	}
}
