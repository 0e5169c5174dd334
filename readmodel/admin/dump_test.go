package admin_test

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/gob"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/internal/local/postgres"
	"accountexport/projections"
	"accountexport/projections/engine"
	"accountexport/readmodel"
	"accountexport/readmodel/admin"
	"accountexport/readmodel/export"
	"accountexport/readmodel/internal/readmodeltest"
	"accountexport/readmodel/store"
)

// opened opens a file of testdata that is compressed.
func opened(t *testing.T, name string) io.Reader {
	t.Helper()
	f, err := os.Open("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	r, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// restored is a database that is restored as testdata/README.md says.
func restored(t *testing.T) string {
	t.Helper()
	if err := readmodel.Migrate(t.Context(), postgres.TestDatabase(t)); err != nil { // creates the roles, which the dump needs
		t.Fatal(err)
	}
	url := postgres.TestDatabase(t)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	var lz4 bool
	if err := conn.QueryRow(t.Context(), `SELECT 'lz4' = ANY (enumvals) FROM pg_settings WHERE name = 'default_toast_compression'`).Scan(&lz4); err != nil {
		t.Fatal(err)
	}
	var sql strings.Builder
	lines := bufio.NewScanner(opened(t, "format1.sql.gz"))
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, `\`) { // a command of psql
			continue
		}
		if !lz4 {
			line = strings.ReplaceAll(line, "COMPRESSION lz4", "COMPRESSION pglz")
		}
		sql.WriteString(line + "\n")
	}
	if lines.Err() != nil {
		t.Fatal(lines.Err())
	}
	if _, err := conn.Exec(t.Context(), sql.String()); err != nil {
		t.Fatal(err)
	}
	return url
}

// dumpedLog is the stream that the dump was made of, with what came after.
type dumpedLog struct {
	readmodeltest.MessageLog
	identity engine.StreamIdentity
}

func (l dumpedLog) Info(ctx context.Context) (engine.StreamInfo, error) {
	info, err := l.MessageLog.Info(ctx)
	info.Name, info.Created, info.Partitions = l.identity.Name, l.identity.Created, l.identity.Partitions
	return info, err
}

// TestDumpOfFirstFormatIsTakenOn: what older programs stored is served once the
// database is migrated, is taken on, gets a count of every row, and is equal to a fold
// and to a new generation at each step.
func TestDumpOfFirstFormatIsTakenOn(t *testing.T) {
	url := restored(t)
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	if _, err := readmodel.LiveGeneration(t.Context(), pool); err == nil || !strings.Contains(err.Error(), "`projector provision` brings it up to date") {
		t.Errorf("before the migration: %v", err)
	}
	if err := readmodel.Migrate(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	live, err := readmodel.LiveGeneration(t.Context(), pool)
	if err != nil || live.Format != readmodel.FormatPlain {
		t.Fatalf("%+v, %v", live, err)
	}
	log := dumpedLog{identity: live.Stream}
	for d := gob.NewDecoder(opened(t, "format1.messages.gz")); ; {
		var m projections.Message
		if err := d.Decode(&m); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		log.MessageLog = append(log.MessageLog, m)
	}
	checkpoints, err := readmodel.LowestPosition(t.Context(), pool, live.Number)
	if err != nil {
		t.Fatal(err)
	}
	dumped := log.Without(func(m projections.Message) bool { return m.Position > checkpoints })
	if len(dumped) < 2000 || len(dumped) == len(log.MessageLog) {
		t.Fatalf("%d of %d messages are in the dump", len(dumped), len(log.MessageLog))
	}
	equal := func(when string, l readmodeltest.MessageLog) map[events.UUID]admin.Sum {
		t.Helper()
		x, sums := export.NewReader(pool), map[events.UUID]admin.Sum{}
		fold := projections.NewFold()
		for _, m := range l {
			if _, _, err := fold.Apply(m); err != nil {
				t.Fatal(err)
			}
		}
		states := map[export.State]int{}
		for _, id := range fold.Accounts() {
			want, _, err := fold.Document(id)
			if err != nil {
				t.Fatal(err)
			}
			m, doc := readmodeltest.Read(t, x, id)
			if states[m.State]++; doc != string(want) || m.Position != fold.Account(id).Position() {
				t.Errorf("%s: account %s at %d is not as it is folded", when, id, m.Position)
			}
			c, err := fold.Account(id).Flush()
			if err != nil {
				t.Fatal(err)
			}
			sums[id] = admin.Sum{Position: c.Row.Position, Messages: c.Messages, Digest: c.Digest}
		}
		if states[export.Complete] < 100 || states[export.Incomplete] == 0 || states[export.Erased] == 0 {
			t.Errorf("%s: states %v", when, states)
		}
		return sums
	}
	equal("migrated", dumped)
	// The members of the dump are long gone, which the server, just started, cannot know.
	if _, err := pool.Exec(t.Context(), `DELETE FROM export.members`); err != nil {
		t.Fatal(err)
	}
	s := store.NewStore(pool, "one", readmodeltest.Quiet)
	t.Cleanup(func() { s.Close(context.Background()) })
	p := engine.New(log, s, engine.Options{Logger: readmodeltest.Quiet, CacheBytes: 1, Batch: engine.Bound{Events: 50, Bytes: 1 << 20}})
	defer p.Close()
	if err := p.RunToEnd(t.Context()); err != nil {
		t.Fatal(err)
	}
	sums := equal("taken on", log.MessageLog)
	if other, err := admin.RecordSums(t.Context(), pool, sums); err != nil || len(other) > 0 {
		t.Errorf("stored otherwise than folded: %v, %v", other, err)
	}
	if rows := readmodeltest.RecordedSums(t, pool, 1); len(rows) != len(sums) {
		t.Errorf("%d of %d rows say what went into them", len(rows), len(sums))
	}
	builder := store.NewBuilder(pool, "builder", false, readmodeltest.Quiet)
	t.Cleanup(func() { builder.Close(context.Background()) })
	b := engine.New(log, builder, engine.Options{Logger: readmodeltest.Quiet})
	defer b.Close()
	if err := b.RunToEnd(t.Context()); err != nil {
		t.Fatal(err)
	}
	c, err := admin.Compare(t.Context(), pool, 1, 2, readmodeltest.EndlessStream, nil)
	if err != nil || !c.Equal() || c.Compared != int64(len(sums)) {
		t.Errorf("compared with a new generation: %+v, %v", c, err)
	}
}
