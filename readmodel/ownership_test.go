package readmodel_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/internal/local/postgres"
	"accountexport/projections"
	"accountexport/projections/engine"
	"accountexport/readmodel"
)

func TestTwoOwnersNeverBothCommit(t *testing.T) {
	pool, s := open(t)
	s.Takeover = 500 * time.Millisecond
	a := newAccount(t, s, acquire(t, s), someone)
	a.register()
	if err := a.commit(freeTier); err != nil {
		t.Fatal(err)
	}
	// The first owner goes silent, though it does not notice: another takes over.
	second := member(t, pool, "two")
	acquire(t, second)
	own := owns(t, second, 4)
	b := newAccount(t, second, own, someone)
	b.at = a.at

	a.apply(events.NewUserEmailChanged(a.meta(), a.id, events.UserEmailChanged{Email: "old-owner@example.org"}))
	if err := a.commit(); !errors.Is(err, engine.ErrFenced) {
		t.Fatalf("the old owner's commit: %v, want fenced", err)
	}
	b.reload(mustMessage(t)(events.NewUserEmailChanged(b.meta(), b.id, events.UserEmailChanged{Email: "new-owner@example.org"})))
	_, doc := read(t, readmodel.NewExports(pool), a.id)
	if !strings.Contains(doc, "new-owner@") || strings.Contains(doc, "old-owner@") {
		t.Errorf("document: %s", doc)
	}
	if _, err := s.Share(t.Context(), 1, true); err == nil { // its connection was ended
		t.Error("the old owner is still a member")
	}
	if _, err := s.Share(t.Context(), 1, true); !errors.Is(err, engine.ErrFenced) {
		t.Errorf("the old owner tells that it lives: %v, want fenced", err)
	}
}

func mustMessage(t *testing.T) func(events.Message, error) events.Message {
	return func(m events.Message, err error) events.Message {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
}

// TestFencedBatchWritesNothing breaks each condition of a commit in turn, with
// everything that a batch can hold in it.
func TestFencedBatchWritesNothing(t *testing.T) {
	pool, s := open(t)
	a := newAccount(t, s, acquire(t, s), someone)
	a.register()
	ch, err := a.state.Flush()
	if err != nil {
		t.Fatal(err)
	}
	epoch := a.own.Checkpoints[1].Epoch
	for name, bad := range map[string]engine.Advance{
		"position behind": {Partition: 1, From: 5, To: 6, Epoch: epoch},
		"epoch before":    {Partition: 1, To: 6, Epoch: epoch - 1},
		"epoch after":     {Partition: 1, To: 6, Epoch: epoch + 1},
		"no partition":    {Partition: 99, To: 6, Epoch: epoch},
	} {
		bad.AsOf = noon
		err := s.Commit(t.Context(), &engine.Batch{Generation: 1, Changes: []projections.Change{ch},
			Tiers:    []projections.TierDefinition{freeTier},
			Parked:   []projections.ParkedMessage{{Position: 1, Account: &a.id, Time: noon, Payload: []byte("x")}},
			Advances: []engine.Advance{{Partition: 0, To: 6, Epoch: epoch, AsOf: noon}, bad}})
		if !errors.Is(err, engine.ErrFenced) {
			t.Errorf("%s: %v, want fenced", name, err)
		}
	}
	var n int
	err = pool.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM export_g1.account_export) + (SELECT count(*) FROM export_g1.quota_tiers)
+ (SELECT count(*) FROM export_g1.parked) + (SELECT max(position) FROM export.checkpoints)`).Scan(&n)
	if err != nil || n != 0 {
		t.Errorf("%d rows or positions were written (%v)", n, err)
	}
}

func TestForeignGenerationsAreRefused(t *testing.T) {
	for name, change := range map[string]string{
		"other major":      `UPDATE export.generations SET version_major = version_major + 1`,
		"newer minor":      `UPDATE export.generations SET version_minor = version_minor + 1`,
		"other partitions": `UPDATE export.generations SET partitions = 32`,
	} {
		t.Run(name, func(t *testing.T) {
			pool, s := open(t)
			acquire(t, s)
			if _, err := pool.Exec(t.Context(), change); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Acquire(t.Context(), stream); !errors.Is(err, engine.ErrRefused) {
				t.Errorf("%v, want refused", err)
			}
		})
	}
}

// TestReaderRoleReadsDocumentsOnly: what the API's role can do, and what it
// cannot.
func TestReaderRoleReadsDocumentsOnly(t *testing.T) {
	pool, s := open(t)
	a := newAccount(t, s, acquire(t, s), someone)
	a.register()
	if err := a.commit(freeTier); err != nil {
		t.Fatal(err)
	}
	cfg := pool.Config()
	cfg.ConnConfig.RuntimeParams["role"] = readmodel.ReaderRole
	reader, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if m, doc := read(t, readmodel.NewExports(reader), a.id); m.State != readmodel.Complete || doc == "" {
		t.Errorf("reads %+v", m)
	}
	for _, sql := range []string{`SELECT * FROM export_g1.parked`, `SELECT * FROM export_g1.account_waiting`,
		`UPDATE export.checkpoints SET position = 0`, `DELETE FROM export_g1.account_export`, `CREATE TABLE export_g1.x ()`} {
		if _, err := reader.Exec(t.Context(), sql); err == nil {
			t.Errorf("may %s", sql)
		}
	}
}

// TestMigrateTwiceAtOnce: migrating may be repeated, and done by several, in
// several databases of one server, which share the roles.
func TestMigrateTwiceAtOnce(t *testing.T) {
	urls := []string{postgres.TestDatabase(t), postgres.TestDatabase(t), postgres.TestDatabase(t)}
	errs := make(chan error, 12)
	for i := range cap(errs) {
		go func() { errs <- readmodel.Migrate(t.Context(), urls[i%len(urls)]) }()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
