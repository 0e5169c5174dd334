package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/projections"
	"accountexport/projections/engine"
	"accountexport/projections/engine/enginetest"
	"accountexport/readmodel/internal/readmodeltest"
	"accountexport/readmodel/store"
)

// TestStoreConforms checks the store of the live generation, which replicas share.
func TestStoreConforms(t *testing.T) {
	open := func(t *testing.T) enginetest.ReadModel {
		pool, first := readmodeltest.Open(t)
		first.Takeover = time.Minute // no replica goes silent here, however slow the machine is
		names, joined := []string{"two", "three"}, 0
		return enginetest.ReadModel{
			Join: func(t *testing.T) engine.Store {
				if joined++; joined == 1 {
					return first
				}
				s := readmodeltest.Member(t, pool, names[joined-2])
				s.Takeover = time.Minute
				return s
			},
			Shared: true,
			Pause:  func(t *testing.T) { pause(t, pool) },
			Resume: func(t *testing.T) { resume(t, pool) },
			Touch: func(t *testing.T, partition int) {
				if _, err := pool.Exec(t.Context(), `UPDATE export.checkpoints SET epoch = epoch + 1 WHERE partition = $1`, partition); err != nil {
					t.Fatal(err)
				}
			},
			Tally: tallyOf(pool),
		}
	}
	enginetest.TestStore(t, open)
	enginetest.TestSharing(t, open)
}

// TestBuilderConforms checks the store of a generation that is being built, which
// one replica at a time has.
func TestBuilderConforms(t *testing.T) {
	enginetest.TestStore(t, func(t *testing.T) enginetest.ReadModel {
		pool, live := readmodeltest.Open(t)
		readmodeltest.Acquire(t, live) // there is something to build beside
		return enginetest.ReadModel{
			Join: func(t *testing.T) engine.Store {
				s := store.NewBuilder(pool, "builder", false, readmodeltest.Quiet)
				t.Cleanup(func() { s.Close(context.Background()) })
				return s
			},
			Pause:  func(t *testing.T) { pause(t, pool) },
			Resume: func(t *testing.T) { resume(t, pool) },
			Tally:  tallyOf(pool),
		}
	})
}

// tallyOf reads what a partition of the newest generation counts.
func tallyOf(pool *pgxpool.Pool) func(t *testing.T, partition int) projections.Tally {
	return func(t *testing.T, partition int) (tally projections.Tally) {
		t.Helper()
		err := pool.QueryRow(t.Context(), `
SELECT applied, duplicate, deferred, ignored, parked FROM export.checkpoints WHERE partition = $1 ORDER BY generation DESC LIMIT 1`, partition).
			Scan(&tally[projections.Applied], &tally[projections.Duplicate], &tally[projections.Deferred], &tally[projections.Ignored],
				&tally[projections.Parked])
		if err != nil {
			t.Fatal(err)
		}
		return tally
	}
}
