package admin_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/internal/workload"
	"accountexport/projections"
	"accountexport/projections/engine"
	"accountexport/readmodel/admin"
	"accountexport/readmodel/internal/readmodeltest"
)

// TestRefoldOfLessChangesNothing: where the stream has lost any message that a row was
// made of, the row stays as it is, to the byte, and the result says why. The accounts
// that have lost nothing are refolded beside it. A row that does not count its
// messages does not shrink.
func TestRefoldOfLessChangesNothing(t *testing.T) {
	log := readmodeltest.NewBusyLog(5, 1500, workload.Config{Accounts: 6, HostileShare: 0.05, ErasureShare: 0.001})
	last := log[len(log)-1].Position
	lastOf := map[string]uint64{}
	for _, m := range log {
		lastOf[m.Subject] = m.Position
	}
	parked := map[uint64]bool{}
	fold := projections.NewFold()
	for _, m := range log {
		if out, _, err := fold.Apply(m); err == nil && out == projections.Parked {
			parked[m.Position] = true
		}
	}
	for name, c := range map[string]struct {
		connectionLost func(projections.Message) bool
		counted        bool
		refused        int // accounts that are refused, at least
	}{
		"the beginning":                          {func(m projections.Message) bool { return m.Position <= last/3 }, true, 6},
		"one message of ten":                     {func(m projections.Message) bool { return m.Position%10 == 3 }, true, 6},
		"the last of each":                       {func(m projections.Message) bool { return m.Position == lastOf[m.Subject] }, true, 6},
		"everything":                             {func(m projections.Message) bool { return true }, true, 6},
		"the beginning, of rows without a count": {func(m projections.Message) bool { return m.Position <= last/3 }, false, 4},
		"the last of each, without a count":      {func(m projections.Message) bool { return m.Position == lastOf[m.Subject] }, false, 6},
		"what was parked, without a count":       {func(m projections.Message) bool { return parked[m.Position] }, false, 4},
		"nothing":                                {func(m projections.Message) bool { return false }, true, 0},
		"nothing, without a count":               {func(m projections.Message) bool { return false }, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool, s := readmodeltest.Open(t)
			log.Project(t, s, engine.Options{Batch: engine.Bound{Events: 300, Bytes: 1 << 20}})
			all, before := log.CountConsumed(t), readmodeltest.Contents(t, pool)
			ids := slices.Collect(maps.Keys(all))
			if !c.counted {
				readmodeltest.DowngradeToPlainFormat(t, pool)
			}
			rest := log.Without(c.connectionLost)
			for range 2 { // the first one may record the rows' counts
				done, err := admin.RefoldAccounts(t.Context(), pool, ids, false, rest.ReadAccount)
				if err != nil {
					t.Fatal(err)
				}
				if len(done.Skipped) < c.refused || c.refused == 0 && len(done.Skipped) > 0 {
					t.Errorf("%d accounts left as they are, want %d at least: %v", len(done.Skipped), c.refused, done.Skipped)
				}
				left := map[events.UUID]error{}
				for _, u := range done.Skipped {
					if left[u.Account] = u.Err; !errors.Is(u.Err, admin.ErrDataLoss) {
						t.Errorf("account %s: %v", u.Account, u.Err)
					}
				}
				for id, n := range all {
					r, err := rest.Fold(t.Context(), id, last)
					if err != nil {
						t.Fatal(err)
					}
					ch, err := r.State.Flush()
					if err != nil {
						t.Fatal(err)
					}
					if why := left[id]; c.counted && ch.Messages > 0 && ch.Messages < n && (why == nil ||
						fold.Account(id).State(nil) != projections.Erased && !strings.Contains(why.Error(), fmt.Sprintf("the row counts %d messages, and the stream holds %d", n, ch.Messages))) {
						t.Errorf("account %s: %v; the row counts %d, the stream holds %d", id, why, n, ch.Messages)
					}
				}
				if c.counted || c.refused == 0 {
					if diff := cmp.Diff(before, readmodeltest.Contents(t, pool)); diff != "" {
						t.Errorf("what is stored has changed:\n%.3000s", diff)
					}
					if len(done.Changed) > 0 {
						t.Errorf("said to have changed: %v", done.Changed)
					}
				}
				after := readmodeltest.Contents(t, pool)
				for id := range left {
					if c.counted && before[id] != after[id] {
						t.Errorf("account %s was left as it is, and has changed", id)
					}
				}
			}
			if c.counted {
				acceptsLoss(t, pool, rest, all, last)
			}
		})
	}
}

// acceptsLoss: who tells so has accounts made of what there is, but for those
// that are erased, and those of which there is nothing.
func acceptsLoss(t *testing.T, pool *pgxpool.Pool, rest readmodeltest.MessageLog, all map[events.UUID]uint64, upTo uint64) {
	t.Helper()
	done, err := admin.RefoldAccounts(t.Context(), pool, slices.Collect(maps.Keys(all)), true, rest.ReadAccount)
	if err != nil {
		t.Fatal(err)
	}
	left := map[events.UUID]bool{}
	for _, u := range done.Skipped {
		left[u.Account] = true
	}
	rows := readmodeltest.RecordedSums(t, pool, 1)
	for id, n := range all {
		r, err := rest.Fold(t.Context(), id, upTo)
		if err != nil {
			t.Fatal(err)
		}
		ch, err := r.State.Flush()
		if err != nil {
			t.Fatal(err)
		}
		want := admin.Sum{Position: ch.Row.Position, Messages: ch.Messages, Digest: ch.Digest}
		switch got := rows[id]; {
		case left[id] && n == 1 && ch.Row.ErasedAt == nil, left[id] && ch.Messages == 0: // an erased account, or one of which nothing is stored
		case left[id], got != want:
			t.Errorf("account %s: left %t, says %+v, want %+v", id, left[id], got, want)
		}
	}
}

// TestAccountThatCannotBeFoldedStopsNobody: the other accounts are refolded. An error
// of a server, and not of an account, ends the refold.
func TestAccountThatCannotBeFoldedStopsNobody(t *testing.T) {
	pool, s := readmodeltest.Open(t)
	log := readmodeltest.NewLog(6, 600, workload.Config{Accounts: 8})
	log.Project(t, s, engine.Options{})
	ids := slices.SortedFunc(maps.Keys(log.CountConsumed(t)), func(a, b events.UUID) int { return bytes.Compare(a[:], b[:]) })
	before := readmodeltest.Contents(t, pool)
	if _, err := pool.Exec(t.Context(), `UPDATE export_g1.account_export SET user_json = '{}' WHERE user_json IS NOT NULL`); err != nil {
		t.Fatal(err)
	}
	bad := ids[2]
	done, err := admin.RefoldAccounts(t.Context(), pool, ids, false, func(ctx context.Context, id events.UUID, after, upTo uint64, each func(projections.Message) error) error {
		if id == bad {
			return fmt.Errorf("%w: by this test", admin.ErrUnfoldable)
		}
		return log.ReadAccount(ctx, id, after, upTo, each)
	})
	if err != nil || len(done.Skipped) != 1 || done.Skipped[0].Account != bad || !errors.Is(done.Skipped[0].Err, admin.ErrUnfoldable) {
		t.Fatalf("%+v, %v; want all but %s", done, err, bad)
	}
	after := readmodeltest.Contents(t, pool)
	for _, id := range ids {
		if mended := after[id] == before[id]; mended == (id == bad) && before[id] != after[id] {
			t.Errorf("account %s: mended %t", id, mended)
		}
	}
	away := errors.New("the servers are away")
	done, err = admin.RefoldAccounts(t.Context(), pool, ids, false, func(context.Context, events.UUID, uint64, uint64, func(projections.Message) error) error { return away })
	if !errors.Is(err, away) || len(done.Skipped) > 0 {
		t.Errorf("%+v, %v; want an error that is no account's", done, err)
	}
}

// TestTierKeepsItsDefinition: a tier with a parked message is not set back to an
// earlier definition, or to none, where the stream has lost the one in force.
func TestTierKeepsItsDefinition(t *testing.T) {
	pool, s := readmodeltest.Open(t)
	var log readmodeltest.MessageLog
	for i, name := range []string{"first", "second", ""} {
		m := readmodeltest.MustMessage(t)(events.NewQuotaTierDefined(events.Meta{ID: fmt.Sprint(i), Source: "/test", Time: events.TimeOf(readmodeltest.Noon)},
			events.QuotaTierDefined{ID: "free", DisplayName: "the " + name}))
		if name == "" {
			m.Data = []byte("no JSON")
		}
		log = append(log, projections.Message{Position: uint64(i + 1), Time: readmodeltest.Noon, Partition: 1, Message: m})
	}
	log.Project(t, s, engine.Options{})
	for _, first := range []uint64{1, 3} { // the definition in force is not among the messages that are left
		rest := log.Without(func(m projections.Message) bool { return m.Position < first || m.Position == 2 })
		_, err := admin.RefoldTier(t.Context(), pool, log[0].Subject, func(_ context.Context, _ string, _, _ uint64, each func(projections.Message) error) error {
			for _, m := range rest {
				if err := each(m); err != nil {
					return err
				}
			}
			return nil
		})
		if !errors.Is(err, admin.ErrDataLoss) {
			t.Errorf("%d messages are left: %v, want a loss", len(rest), err)
		}
	}
	var body string
	if err := pool.QueryRow(t.Context(), `SELECT convert_from(body, 'UTF8') FROM export_g1.quota_tiers`).Scan(&body); err != nil || !strings.Contains(body, "the second") {
		t.Errorf("%s, %v", body, err)
	}
}

// TestRefoldOfTheSameDisturbsNobody: accounts of which exactly what was folded is
// stored are refolded without a lock, though another transaction holds the
// checkpoints, and no projector is fenced. An account that differs waits for the lock.
func TestRefoldOfTheSameDisturbsNobody(t *testing.T) {
	log := readmodeltest.NewBusyLog(6, 800, workload.Config{Accounts: 6, HostileShare: 0.05})
	pool, s := readmodeltest.Open(t)
	log.Project(t, s, engine.Options{})
	ids := slices.Collect(maps.Keys(log.CountConsumed(t)))
	epochs := func() (sum int64) {
		t.Helper()
		if err := pool.QueryRow(t.Context(), `SELECT sum(epoch) FROM export.checkpoints WHERE generation = 1`).Scan(&sum); err != nil {
			t.Fatal(err)
		}
		return sum
	}
	before, stored := epochs(), readmodeltest.Contents(t, pool)
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	if _, err := tx.Exec(t.Context(), `SELECT FROM export.checkpoints FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	done, err := admin.RefoldAccounts(t.Context(), pool, ids, false, log.ReadAccount)
	if err != nil || len(done.Changed)+len(done.Skipped) > 0 {
		t.Errorf("refolded: %+v, %v", done, err)
	}
	if diff := cmp.Diff(stored, readmodeltest.Contents(t, pool)); diff != "" {
		t.Errorf("what is stored has changed:\n%.3000s", diff)
	}
	if now := epochs(); now != before {
		t.Errorf("epochs add up to %d, and were %d: somebody was fenced", now, before)
	}

	// An account that differs waits until the lock is free.
	damaged := ids[0]
	if _, err := pool.Exec(t.Context(), `UPDATE export_g1.account_export SET parked = parked + 7 WHERE account_id = $1`, [16]byte(damaged)); err != nil {
		t.Fatal(err)
	}
	impatient, err := pgxpool.ParseConfig(pool.Config().ConnString())
	if err != nil {
		t.Fatal(err)
	}
	impatient.ConnConfig.RuntimeParams["lock_timeout"] = "200ms"
	other, err := pgxpool.NewWithConfig(t.Context(), impatient)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := admin.RefoldAccounts(t.Context(), other, []events.UUID{damaged}, false, log.ReadAccount); err == nil {
		t.Error("refolded although somebody holds the checkpoint")
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	done, err = admin.RefoldAccounts(t.Context(), other, ids, false, log.ReadAccount)
	if err != nil || len(done.Changed) != 1 || done.Changed[0] != damaged {
		t.Errorf("refolded: %+v, %v", done, err)
	}
	if now := epochs(); now != before+1 {
		t.Errorf("epochs add up to %d, and were %d: more than the one partition was fenced", now, before)
	}
}

// TestLostRowIsMadeAgain: a refold makes the row of an account that has lost it, from
// the stream, in the partition that it belongs to.
func TestLostRowIsMadeAgain(t *testing.T) {
	log := readmodeltest.NewBusyLog(7, 800, workload.Config{Accounts: 6, HostileShare: 0.05, ErasureShare: 0.002})
	pool, s := readmodeltest.Open(t)
	log.Project(t, s, engine.Options{})
	stored := readmodeltest.Contents(t, pool)
	for id := range log.CountConsumed(t) {
		if _, err := pool.Exec(t.Context(), `DELETE FROM export_g1.account_export WHERE account_id = $1`, [16]byte(id)); err != nil {
			t.Fatal(err)
		}
		if done, err := admin.RefoldAccounts(t.Context(), pool, []events.UUID{id}, false, log.ReadAccount); err != nil || len(done.Changed) != 1 {
			t.Errorf("account %s: %+v, %v", id, done, err)
		}
	}
	if diff := cmp.Diff(stored, readmodeltest.Contents(t, pool)); diff != "" {
		t.Errorf("what is stored has changed:\n%.3000s", diff)
	}
}
