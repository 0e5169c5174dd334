package admin_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"accountexport/events"
	"accountexport/internal/workload"
	"accountexport/projections"
	"accountexport/projections/engine"
	"accountexport/readmodel/admin"
	"accountexport/readmodel/internal/readmodeltest"
	"accountexport/readmodel/store"
)

// TestWhatComesWhileItIsRefolded: the projector goes on while accounts are refolded
// and their rows staged. Under the lock only what has come since is read. What is
// stored then is what an undisturbed projector would have stored: where everything was
// stored right; where pages, items, waiting patches or parked messages were lost or
// too many; and where rows do not record what they were made of.
func TestWhatComesWhileItIsRefolded(t *testing.T) {
	for seed := uint64(21); seed < 24; seed++ {
		for what, damage := range map[string]string{
			"nothing":     ``,
			"counts":      `UPDATE export_g1.account_export SET digest_low = digest_low # 5 WHERE counted_at IS NOT NULL`,
			"not counted": `UPDATE export_g1.account_export SET counted_at = NULL`,
			"parked":      `DELETE FROM export_g1.parked WHERE account_id IS NOT NULL AND position % 2 = 0`,
			"too many": `
INSERT INTO export_g1.account_export_pages SELECT account_id, 3, 'zzz', 'x' FROM export_g1.account_export WHERE erased_at IS NULL;
INSERT INTO export_g1.account_export_items SELECT account_id, 2, 'zzz', 'zzz' FROM export_g1.account_export WHERE erased_at IS NULL;
INSERT INTO export_g1.account_waiting SELECT account_id, 4, 'zzz', '{}' FROM export_g1.account_export WHERE erased_at IS NULL`,
		} {
			t.Run(fmt.Sprint(seed, " ", what), func(t *testing.T) {
				t.Parallel()
				log := readmodeltest.NewBusyLog(seed, 700, workload.Config{Accounts: 5, HostileShare: 0.05, ErasureShare: 0.002})
				before := log[:len(log)*3/4]
				clean, s := readmodeltest.Open(t)
				log.Project(t, s, engine.Options{})
				pool, s := readmodeltest.Open(t)
				before.Project(t, s, engine.Options{})
				ids := slices.SortedFunc(maps.Keys(before.CountConsumed(t)), func(a, b events.UUID) int { return bytes.Compare(a[:], b[:]) })
				s.Close(t.Context())
				if damage != "" {
					readmodeltest.Exec(t, pool, damage)
				}
				// One session, so that no epoch moves by its beginning anew.
				source := readmodeltest.NewGrowing(before)
				p := engine.New(source, store.NewStore(pool, "goes on", readmodeltest.Quiet), engine.Options{Logger: readmodeltest.Quiet})
				defer p.Close()
				goOn := func(upTo int) {
					source.Grow(log[:upTo])
					if err := p.RunToEnd(t.Context()); err != nil && !errors.Is(err, engine.ErrFenced) { // by the refold of a partition before
						t.Error(err)
					} else if err != nil {
						if err := p.RunToEnd(t.Context()); err != nil {
							t.Error(err)
						}
					}
				}
				goOn(len(before))
				reads, upToNow := map[events.UUID][]uint64{}, len(before)
				read := func(ctx context.Context, id events.UUID, after, upTo uint64, each func(projections.Message) error) error {
					reads[id] = append(reads[id], after)
					if err := log.ReadAccount(ctx, id, after, upTo, each); err != nil {
						return err
					}
					if len(reads[id]) == 1 { // no lock is held yet: the projector goes on
						upToNow = min(len(log), upToNow+len(log)/4/len(ids)+1)
						goOn(upToNow)
					}
					return nil
				}
				done, err := admin.RefoldAccounts(t.Context(), pool, ids, what != "nothing", read)
				if err != nil {
					t.Fatal(err)
				}
				goOn(len(log))
				if diff := cmp.Diff(readmodeltest.Contents(t, clean), readmodeltest.Contents(t, pool)); diff != "" {
					t.Errorf("what is stored differs:\n%.3000s", diff)
				}
				if diff := cmp.Diff(counts(t, clean), counts(t, pool)); diff != "" {
					t.Errorf("outcomes differ:\n%s", diff)
				}
				since := 0
				for _, after := range reads {
					if len(after) > 1 && after[1] > 0 {
						since++
					}
				}
				if since == 0 && what != "not counted" {
					t.Errorf("of nobody only what has come since was read: %v", reads)
				}
				t.Logf("%d accounts, %d changed, %d left; of %d what has come since was read alone", len(ids), len(done.Changed), len(done.Skipped), since)
			})
		}
	}
}

// counts are the outcomes of the first generation, by partition.
func counts(t *testing.T, db interface {
	Query(context.Context, string, ...any) (pgx.Rows, error)
}) []string {
	t.Helper()
	rows, err := db.Query(t.Context(), `
SELECT concat_ws(' ', partition, position, applied, duplicate, deferred, ignored, parked) FROM export.checkpoints WHERE generation = 1 ORDER BY partition`)
	if err != nil {
		t.Fatal(err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return out
}
