package store_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/projections/engine"
	"accountexport/readmodel"
	"accountexport/readmodel/admin"
	"accountexport/readmodel/internal/readmodeltest"
	"accountexport/readmodel/store"
)

func pause(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	if _, _, err := admin.Pause(t.Context(), pool, "somebody@here", ""); err != nil {
		t.Fatal(err)
	}
}

func resume(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	if was, err := admin.Resume(t.Context(), pool); err != nil || was == nil {
		t.Fatalf("%v, %v", was, err)
	}
}

// where is the position and the as-of time of every checkpoint of every generation.
func where(t *testing.T, pool *pgxpool.Pool) (all string) {
	t.Helper()
	err := pool.QueryRow(t.Context(), `
SELECT string_agg(format('%s/%s %s %s %s', generation, partition, position, as_of, applied), ', ' ORDER BY generation, partition)
FROM export.checkpoints`).Scan(&all)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestNoCheckpointMovesOncePaused: partitions of a live and of a building generation
// are committed without a break. Once a pause has returned none of them moves, however
// often it is tried, and nothing else moves them.
func TestNoCheckpointMovesOncePaused(t *testing.T) {
	pool, live := readmodeltest.Open(t)
	builder := store.NewBuilder(pool, "builder", false, readmodeltest.Quiet)
	t.Cleanup(func() { builder.Close(context.Background()) })
	stores := []*store.Store{live, builder}
	var owned []engine.Ownership
	for _, s := range stores {
		owned = append(owned, readmodeltest.Acquire(t, s))
	}
	for round := range 5 {
		ctx, stop := context.WithCancel(t.Context())
		var moved, refused atomic.Int64
		var writers sync.WaitGroup
		for i, s := range stores {
			for p := range owned[i].Checkpoints {
				c := &owned[i].Checkpoints[p]
				writers.Go(func() {
					for ctx.Err() == nil {
						a := engine.Advance{Partition: c.Partition, From: c.Position, To: c.Position + 1, Epoch: c.Epoch, AsOf: readmodeltest.Noon}
						err := s.Commit(t.Context(), &engine.Batch{Generation: owned[i].Generation, Advances: []engine.Advance{a}})
						switch {
						case err == nil:
							c.Position++
							moved.Add(1)
						case errors.Is(err, engine.ErrPaused):
							refused.Add(1)
						default:
							t.Error(err)
							return
						}
					}
				})
			}
		}
		atLeast := func(n *atomic.Int64, more int64) {
			deadline := time.Now().Add(20 * time.Second)
			for from := n.Load(); n.Load() < from+more && !t.Failed(); time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Errorf("%d commits, want %d: they were neither made nor refused", n.Load()-from, more)
				}
			}
		}
		atLeast(&moved, int64(20+round))
		pause(t, pool)
		before := where(t, pool)
		atLeast(&refused, 200)
		if after := where(t, pool); after != before {
			t.Errorf("checkpoints moved while paused:\n%s\n%s", before, after)
		}
		resume(t, pool)
		atLeast(&moved, 20) // without a new epoch
		stop()
		writers.Wait()
		if t.Failed() {
			return
		}
	}
}

// TestPausedNothingMovesThem: whatever would move checkpoints, or make another
// generation live, returns the pause and what ends it, and changes nothing.
func TestPausedNothingMovesThem(t *testing.T) {
	pool, live := readmodeltest.Open(t)
	own := readmodeltest.Acquire(t, live)
	builder := store.NewBuilder(pool, "builder", false, readmodeltest.Quiet)
	t.Cleanup(func() { builder.Close(context.Background()) })
	readmodeltest.Acquire(t, builder)
	g, err := readmodel.LiveGeneration(t.Context(), pool)
	if err != nil {
		t.Fatal(err)
	}
	pause(t, pool)
	before := where(t, pool)
	for what, act := range map[string]func() error{
		"a commit": func() error {
			return live.Commit(t.Context(), &engine.Batch{Generation: 1, Advances: []engine.Advance{{Partition: 1, To: 5, Epoch: own.Checkpoints[1].Epoch, AsOf: readmodeltest.Noon}}})
		},
		"an older program's commit": func() error {
			_, err := pool.Exec(t.Context(), `SELECT export.advance(1, '{1}', '{0}', '{5}', ARRAY[$1::bigint], '{now}', '{5}', '{0}', '{0}', '{0}', '{0}')`,
				own.Checkpoints[1].Epoch)
			if err != nil && strings.Contains(err.Error(), "AE003") {
				return engine.PausedError("")
			}
			return err
		},
		"a share": func() error {
			_, err := live.Heartbeat(t.Context(), 1, true)
			return err
		},
		"a replica that starts": func() error {
			s := store.NewStore(pool, "another", readmodeltest.Quiet)
			defer s.Close(context.Background())
			_, err := s.Acquire(t.Context(), readmodeltest.Stream)
			return err
		},
		"a rebuild that starts": func() error {
			_, err := builder.Acquire(t.Context(), readmodeltest.Stream)
			return err
		},
		"a cut-over": func() error {
			return admin.Cutover(t.Context(), pool, 1, 2, true, func(context.Context) error { return nil })
		},
		"accepting a loss": func() error { return admin.AcceptLoss(t.Context(), pool, g, 10) },
		"accepting a stream": func() error {
			return admin.AcceptStream(t.Context(), pool, g, readmodeltest.Stream, map[int]time.Time{1: readmodeltest.Noon})
		},
	} {
		if err := act(); !errors.Is(err, engine.ErrPaused) || !strings.Contains(err.Error(), "`projector resume` ends that") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if after := where(t, pool); after != before {
		t.Errorf("checkpoints moved while paused:\n%s\n%s", before, after)
	}
	if now, err := readmodel.LiveGeneration(t.Context(), pool); err != nil || now.Number != 1 || !now.Stream.Created.Equal(g.Stream.Created) {
		t.Errorf("generation %+v is live, %v", now, err)
	}
	resume(t, pool)
	if got := readmodeltest.Heartbeat(t, live); len(got.Owned) != 4 || got.Owned[1].Epoch != own.Checkpoints[1].Epoch {
		t.Errorf("after it, the replica owns %+v", got)
	}
}

// TestPauseWaitsForWhatIsUnderWay: a transaction that has moved a checkpoint and has
// not ended is waited for, and so is a cut-over before it holds any checkpoint.
func TestPauseWaitsForWhatIsUnderWay(t *testing.T) {
	pool, live := readmodeltest.Open(t)
	readmodeltest.Acquire(t, live)
	for what, hold := range map[string]string{
		"a commit":   `UPDATE export.checkpoints SET position = position + 1 WHERE partition = 3`,
		"a cut-over": `SELECT FROM export.generations FOR UPDATE`,
	} {
		tx, err := pool.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), hold); err != nil {
			t.Fatal(err)
		}
		paused := make(chan error, 1)
		go func() {
			_, _, err := admin.Pause(t.Context(), pool, "somebody", "")
			paused <- err
		}()
		for waits := false; !waits; {
			err := pool.QueryRow(t.Context(), `
SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE NOT l.granted AND a.datname = current_database())`).Scan(&waits)
			if err != nil {
				t.Fatal(err)
			}
			select {
			case err := <-paused:
				t.Fatalf("%s was not waited for: %v", what, err)
			case <-time.After(time.Millisecond):
			}
		}
		if what == "a cut-over" { // what has to finish first is not kept from finishing
			if _, err := tx.Exec(t.Context(), `SET LOCAL lock_timeout = '1s'; SELECT FROM export.checkpoints FOR UPDATE`); err != nil {
				t.Error(err)
			}
		}
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := <-paused; err != nil {
			t.Errorf("%s: %v", what, err)
		}
		resume(t, pool)
	}
}
