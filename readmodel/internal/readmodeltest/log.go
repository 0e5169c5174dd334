package readmodeltest

import (
	"context"
	"hash/fnv"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/internal/workload"
	"accountexport/projections"
	"accountexport/projections/engine"
)

// growing is a log that is replaced.
type GrowingLog struct{ MessageLog }

func (g *GrowingLog) Open(_ context.Context, after uint64) (engine.Reader, error) {
	return &growingReader{g, after}, nil
}

type growingReader struct {
	log      *GrowingLog
	position uint64
}

func (r *growingReader) Close() {}

func (r *growingReader) Next(ctx context.Context, buf []projections.Message, bound engine.Bound) ([]projections.Message, error) {
	rest := r.log.after(r.position)
	if len(rest) == 0 {
		<-ctx.Done()
		return buf, ctx.Err()
	}
	rest = rest[:min(len(rest), bound.Events)]
	r.position = rest[len(rest)-1].Position
	return append(buf, rest...), nil
}

// read is a [admin.ReadAccount].
func (l MessageLog) ReadAccount(_ context.Context, id events.UUID, after, upTo uint64, each func(projections.Message) error) error {
	for _, m := range l {
		if to := events.ParseSubject(m.Subject); to.Kind != events.SubjectAccount || to.Account != id || m.Position <= after || m.Position > upTo {
			continue
		}
		if err := each(m); err != nil {
			return err
		}
	}
	return nil
}

// fold folds one account's messages up to a position.
func (l MessageLog) Fold(ctx context.Context, id events.UUID, upTo uint64) (*projections.Refold, error) {
	r := projections.NewRefold(id)
	return r, l.ReadAccount(ctx, id, 0, upTo, r.Apply)
}

// without leaves messages out.
func (l MessageLog) Without(out func(projections.Message) bool) MessageLog {
	return slices.DeleteFunc(slices.Clone(l), out)
}

// contents is all that the first generation stores, by account.
func Contents(t *testing.T, pool *pgxpool.Pool) map[events.UUID]string {
	t.Helper()
	rows, err := pool.Query(t.Context(), `
SELECT a.account_id, concat_ws('|', (to_jsonb(a) - 'version_minor')::text,
    (SELECT string_agg(p::text, '|' ORDER BY section, page_key) FROM export_g1.account_export_pages p WHERE account_id = a.account_id),
    (SELECT string_agg(i::text, '|' ORDER BY section, item) FROM export_g1.account_export_items i WHERE account_id = a.account_id),
    (SELECT string_agg(w::text, '|' ORDER BY entity, entity_id) FROM export_g1.account_waiting w WHERE account_id = a.account_id),
    (SELECT string_agg(k::text, '|' ORDER BY position) FROM export_g1.parked k WHERE account_id = a.account_id))
FROM export_g1.account_export a`)
	if err != nil {
		t.Fatal(err)
	}
	out := map[events.UUID]string{}
	var id [16]byte
	var all string
	if _, err := pgx.ForEachRow(rows, []any{&id, &all}, func() error {
		out[id] = all
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// messageLog is a stream in memory that does not grow.
type MessageLog []projections.Message

// newLog is n messages of a workload, from position 1 on.
func NewLog(seed uint64, n int, cfg workload.Config) MessageLog {
	return logOf(n, workload.New(seed, cfg).Next)
}

// newBusyLog has between them as many of three accounts with long sections.
func NewBusyLog(seed uint64, n int, cfg workload.Config) MessageLog {
	g, busy, i := workload.New(seed, cfg), workload.NewBacklog(seed, 3, n), 0
	return logOf(2*n, func() workload.Message {
		if i++; i%2 == 0 {
			m, _ := busy.Next()
			return m
		}
		return g.Next()
	})
}

func logOf(n int, next func() workload.Message) MessageLog {
	var l MessageLog
	for i := range n {
		m := next()
		h := fnv.New32()
		h.Write([]byte(m.Subject))
		l = append(l, projections.Message{Position: uint64(i + 1), Time: Noon.Add(time.Duration(i) * time.Second),
			Partition: int(h.Sum32() % uint32(Stream.Partitions)), Message: events.Message{Subject: m.Subject, Header: m.Header, Data: m.Data}})
	}
	return l
}

func (l MessageLog) Info(context.Context) (engine.StreamInfo, error) {
	info := Stream
	info.First, info.Last, info.Time = l[0].Position, l[len(l)-1].Position, Noon
	return info, nil
}

func (l MessageLog) after(position uint64) MessageLog {
	i := slices.IndexFunc(l, func(m projections.Message) bool { return m.Position > position })
	if i < 0 {
		return nil
	}
	return l[i:]
}

func (l MessageLog) FirstAfter(_ context.Context, after uint64) (uint64, bool, error) {
	if rest := l.after(after); rest != nil {
		return rest[0].Position, true, nil
	}
	return 0, false, nil
}

func (l MessageLog) At(_ context.Context, position uint64) (projections.Message, bool, error) {
	if rest := l.after(position - 1); rest != nil && rest[0].Position == position {
		return rest[0], true, nil
	}
	return projections.Message{}, false, nil
}

func (l MessageLog) Open(_ context.Context, after uint64) (engine.Reader, error) {
	return &logReader{l.after(after)}, nil
}

type logReader struct{ rest MessageLog }

func (r *logReader) Next(ctx context.Context, buf []projections.Message, bound engine.Bound) ([]projections.Message, error) {
	if len(r.rest) == 0 {
		<-ctx.Done()
		return buf, ctx.Err()
	}
	n := min(len(r.rest), bound.Events)
	buf, r.rest = append(buf, r.rest[:n]...), r.rest[n:]
	return buf, nil
}

func (r *logReader) Close() {}

// into folds all of the log into a store.
func (l MessageLog) Project(t *testing.T, s engine.Store, opt engine.Options) {
	t.Helper()
	opt.Logger = Quiet
	p := engine.New(l, s, opt)
	defer p.Close()
	if err := p.RunToEnd(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// consumed counts the messages that moved each account's position.
func (l MessageLog) CountConsumed(t *testing.T) map[events.UUID]uint64 {
	t.Helper()
	fold, n := projections.NewFold(), map[events.UUID]uint64{}
	for _, m := range l {
		to := events.ParseSubject(m.Subject)
		a := fold.Account(to.Account)
		wasErased := a != nil && a.State(nil) == projections.Erased
		if _, _, err := fold.Apply(m); err != nil {
			t.Fatal(err)
		}
		switch {
		case to.Kind != events.SubjectAccount || wasErased:
		case fold.Account(to.Account).State(nil) == projections.Erased:
			n[to.Account] = 1
		default:
			n[to.Account]++
		}
	}
	return n
}
