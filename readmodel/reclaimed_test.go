package readmodel_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/internal/workload"
	"accountexport/projections"
	"accountexport/projections/engine"
	"accountexport/readmodel"
)

// TestAccountIsShutOut: a document that lingers is let go of for another's
// sake. What its account has of the room is not counted down then, so that it
// has its share for ever: two accounts that are read in turn, one at a time, are
// refused, although nothing is held.
func TestAccountIsShutOut(t *testing.T) {
	pool, s := open(t)
	a := largeAccount(t, pool, s, 700)
	other := events.UUID{15: 9}
	for _, sql := range []string{
		`INSERT INTO export_g1.account_export SELECT (jsonb_populate_record(e, '{"account_id": "` + other.String() + `"}')).* FROM export_g1.account_export e`,
		`INSERT INTO export_g1.account_export_pages SELECT '` + other.String() + `', section, page_key, body FROM export_g1.account_export_pages`,
	} {
		nothing(t, pool, sql)
	}
	// Room for one of them and a half.
	x := readmodel.NewExports(pool, readmodel.Limits{Memory: 1, Dir: t.TempDir(), Files: 5_000_000})
	for n := range 12 {
		id := a.id
		if n%2 == 1 {
			id = other
		}
		began := time.Now()
		d, err := x.Open(t.Context(), id)
		if err != nil {
			t.Fatalf("read %d, while nobody else reads: %v after %v; %v", n, err, time.Since(began), readmodel.Wholes(x))
		}
		_, err = d.WriteTo(io.Discard)
		d.Close()
		if err != nil {
			t.Fatal(err)
		}
	}
}

func nothing(t *testing.T, pool *pgxpool.Pool, sql string) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

// TestLostRowEndedForAnother: the refold of a lost row is ended once by the
// server for the sake of another transaction. It is tried again, and then says
// that neither the stream nor the read model knows the account.
func TestLostRowEndedForAnother(t *testing.T) {
	log := newBusyLog(8, 300, workload.Config{Accounts: 4})
	pool, s := open(t)
	log.into(t, s, engine.Options{})
	var some events.UUID
	for id := range log.consumed(t) {
		some = id
	}
	nothing(t, pool, `DELETE FROM export_g1.account_export WHERE account_id = '`+some.String()+`'`)
	endForAnother(t, pool, "export.checkpoints", "40P01", 1)
	done, err := readmodel.SwapAccounts(t.Context(), pool, []events.UUID{some}, false, log.read)
	if err != nil || len(done.Changed) != 1 {
		t.Errorf("%+v, %v", done, err)
	}
}

// TestRollbackWaitsForItself: an erasure clears the generation that is
// rolled back to just before the cut-over takes its locks. The catching up in it
// is fenced and begins again, as cmd/projector has it, and for that makes the
// generation "building" once more: its row is locked by the cut-over itself, and
// neither ends, while the live generation's checkpoints are held.
func TestRollbackWaitsForItself(t *testing.T) {
	whole := newBusyLog(8, 400, workload.Config{Accounts: 6})
	log := whole[:300]
	pool, live := open(t)
	log.into(t, live, engine.Options{})
	builder := readmodel.NewBuilder(pool, "builder", false, quiet)
	log.into(t, builder, engine.Options{})
	builder.Close(t.Context())
	if err := readmodel.Cutover(t.Context(), pool, 1, 2, false, func(context.Context) error { return nil }); err != nil {
		t.Fatal(err)
	}
	reviver := readmodel.NewReviver(pool, "reviver", 1, quiet)
	defer reviver.Close(context.Background())
	source := &growing{messageLog: log}
	p := engine.New(source, reviver, engine.Options{Logger: quiet})
	defer p.Close()
	toEnd := func(ctx context.Context) error { // of cmd/projector/rebuild.go
		err := p.RunToEnd(ctx)
		for errors.Is(err, engine.ErrFenced) && ctx.Err() == nil {
			err = p.RunToEnd(ctx)
		}
		return err
	}
	if err := toEnd(t.Context()); err != nil {
		t.Fatal(err)
	}
	var some events.UUID
	for id := range log.consumed(t) {
		some = id
	}
	// The projector of the live generation and the roll-back see more messages.
	source.messageLog = whole
	if _, err := readmodel.Clear(t.Context(), pool, readmodel.Clearing{Account: some, Tomb: 1, Stream: stream, Mention: func(...[]byte) bool { return false }}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	began := time.Now()
	err := readmodel.Cutover(ctx, pool, 2, 1, false, toEnd)
	if errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 15*time.Second {
		t.Errorf("rolling back has not ended within %v: %v", time.Since(began), err)
	}
	t.Log(fmt.Sprint(err))
}

// growing is a log that is replaced.
type growing struct{ messageLog }

func (g *growing) Open(_ context.Context, after uint64) (engine.Reader, error) {
	return &growingReader{g, after}, nil
}

type growingReader struct {
	of    *growing
	after uint64
}

func (r *growingReader) Close() {}

func (r *growingReader) Next(ctx context.Context, buf []projections.Message, bound engine.Bound) ([]projections.Message, error) {
	rest := r.of.after(r.after)
	if len(rest) == 0 {
		<-ctx.Done()
		return buf, ctx.Err()
	}
	rest = rest[:min(len(rest), bound.Events)]
	r.after = rest[len(rest)-1].Position
	return append(buf, rest...), nil
}
