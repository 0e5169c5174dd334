package readmodel_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/internal/local/testrun"
	"accountexport/readmodel"
	"accountexport/readmodel/internal/readmodeltest"
)

// failure is an error of a partition of the first generation, at one message.
func failure(partition int, position uint64) readmodel.Problem {
	return readmodel.Problem{Class: readmodel.Failed, Partition: partition, Reason: "store", Message: "PostgreSQL refuses: SQLSTATE 23514",
		Generation: 1, Position: position, Until: position, EventType: "sandbox.created.v1"}
}

func refusal(reason string) readmodel.Problem {
	return readmodel.Problem{Class: readmodel.Refused, Partition: readmodel.NoPartition, Reason: reason, Message: "exit status 12", Generation: 1}
}

func note(t *testing.T, pool *pgxpool.Pool, replica string, problems ...readmodel.Problem) {
	t.Helper()
	if err := readmodel.NoteProblems(t.Context(), pool, replica, problems...); err != nil {
		t.Fatal(err)
	}
}

func list(t *testing.T, pool *pgxpool.Pool) []readmodel.Problem {
	t.Helper()
	all, err := readmodel.ListProblems(t.Context(), pool)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestProblemIsKeptOnce: of a class and a partition there is one row, with how often and
// since when it came for this reason; a note of another reason takes its place. It is
// removed as it was listed, and stays where it was noted again since.
func TestProblemIsKeptOnce(t *testing.T) {
	pool, s := readmodeltest.Open(t)
	readmodeltest.Acquire(t, s)
	owner := ownerOf(t, pool, 2)
	for range 3 {
		note(t, pool, owner, failure(2, 7), failure(3, 8))
	}
	note(t, pool, owner, refusal("recreated"))
	if got := list(t, pool); len(got) != 1 { // who refuses has no errors any more
		t.Fatalf("on record: %+v", got)
	}
	for range 3 {
		note(t, pool, owner, failure(2, 7), failure(3, 8))
	}
	want := []readmodel.Problem{refusal("recreated"), failure(2, 7), failure(3, 8)}
	want[0].Times, want[1].Times, want[2].Times = 1, 3, 3
	ignored := cmpopts.IgnoreFields(readmodel.Problem{}, "Replica", "First", "Noted", "Age")
	got := list(t, pool)
	if diff := cmp.Diff(want, got, ignored); diff != "" {
		t.Fatalf("-want +got:\n%s", diff)
	}
	if p := got[1]; p.Replica != owner || !p.First.Before(p.Noted) || p.Age < 0 || p.Age > time.Hour {
		t.Errorf("partition 2: %+v", p)
	}
	other := failure(2, 9)
	other.Reason = "source"
	note(t, pool, owner, other)
	if err := readmodel.ClearProblems(t.Context(), pool, got...); err != nil {
		t.Fatal(err)
	}
	other.Times = 1
	if diff := cmp.Diff([]readmodel.Problem{other}, list(t, pool), ignored); diff != "" {
		t.Errorf("after all were removed as they were listed (-want +got):\n%s", diff)
	}
	if err := readmodel.ClearProblems(t.Context(), pool, list(t, pool)...); err != nil {
		t.Fatal(err)
	}
	if got := list(t, pool); len(got) != 0 {
		t.Errorf("left: %+v", got)
	}
}

func ownerOf(t *testing.T, pool *pgxpool.Pool, partition int) (owner string) {
	t.Helper()
	if err := pool.QueryRow(t.Context(), `SELECT owner FROM export.checkpoints WHERE partition = $1 ORDER BY generation LIMIT 1`, partition).Scan(&owner); err != nil {
		t.Fatal(err)
	}
	return owner
}

// TestWhoLostAPartitionNotesNothing: what a replica has to say of a partition is not
// taken where another one owns it by now, where its checkpoint has passed the message,
// where there is no such partition, and where the generation is not the live one.
func TestWhoLostAPartitionNotesNothing(t *testing.T) {
	pool, s := readmodeltest.Open(t)
	readmodeltest.Acquire(t, s)
	owner := ownerOf(t, pool, 1)
	if _, err := pool.Exec(t.Context(), `UPDATE export.checkpoints SET position = 7 WHERE partition = 1`); err != nil {
		t.Fatal(err)
	}
	building := failure(1, 9)
	building.Generation = 2
	for what, do := range map[string]func(){
		"another owns it":             func() { note(t, pool, "another", failure(1, 9)) },
		"its checkpoint has passed":   func() { note(t, pool, owner, failure(1, 7)) },
		"there is no such partition":  func() { note(t, pool, owner, failure(99, 9)) },
		"the generation is not there": func() { note(t, pool, owner, building) },
	} {
		if do(); len(list(t, pool)) > 0 {
			t.Errorf("%s: on record: %+v", what, list(t, pool))
		}
	}
	note(t, pool, owner, failure(1, 8))
	if got := list(t, pool); len(got) != 1 {
		t.Errorf("its owner's: %+v", got)
	}
	s.Close(t.Context())
	note(t, pool, owner, failure(2, 8))
	if got := list(t, pool); len(got) != 1 || got[0].Partition != 1 {
		t.Errorf("after it has handed over: %+v", got)
	}
}

// TestManyRestartsLeaveFewRows: however many processes note what, at once and
// each by a name of its own, there is one row of what is of no one partition, and one
// for each partition. None of them fails.
func TestManyRestartsLeaveFewRows(t *testing.T) {
	pool, s := readmodeltest.Open(t)
	own := readmodeltest.Acquire(t, s)
	owner := ownerOf(t, pool, 0)
	const writers = 8
	each := 50
	if testrun.Long() {
		each = 1250 // ten thousand
	}
	var wait sync.WaitGroup
	for w := range writers {
		wait.Go(func() {
			var all []readmodel.Problem
			for _, c := range own.Checkpoints {
				all = append(all, failure(c.Partition, 5))
			}
			if w%2 == 1 { // in another order
				for i, j := 0, len(all)-1; i < j; i, j = i+1, j-1 {
					all[i], all[j] = all[j], all[i]
				}
			}
			for n := range each {
				err := readmodel.NoteProblems(context.Background(), pool, fmt.Sprintf("host/%d-%d", w, n), refusal("recreated"))
				if err == nil && n%10 == 0 {
					err = readmodel.NoteProblems(context.Background(), pool, owner, all...)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wait.Wait()
	got := list(t, pool)
	if len(got) != 1+len(own.Checkpoints) {
		t.Fatalf("%d rows: %+v", len(got), got)
	}
	if got[0].Times != int64(writers*each) || got[1].Times != int64(writers*each/10) {
		t.Errorf("they count %d refusals and %d errors, of %d and %d", got[0].Times, got[1].Times, writers*each, writers*each/10)
	}
	var size int64
	if err := pool.QueryRow(t.Context(), `SELECT pg_relation_size('export.problems_pkey')`).Scan(&size); err != nil || size > 64<<10 {
		t.Errorf("the index has %d bytes, %v: rows are not updated in place", size, err)
	}
}

// TestNotesAndRemovalsDoNotDeadlock: whoever notes a refusal, or removes what is over, locks
// rows in the order of their key, wherever they are in the table: one that waits for the
// first has locked none of the others, as who notes errors has not.
func TestNotesAndRemovalsDoNotDeadlock(t *testing.T) {
	pool, s := readmodeltest.Open(t)
	readmodeltest.Acquire(t, s)
	owner := ownerOf(t, pool, 1)
	for name, do := range map[string]func([]readmodel.Problem) error{
		"a refusal": func([]readmodel.Problem) error {
			return readmodel.NoteProblems(context.Background(), pool, owner, refusal("recreated"))
		},
		"a removal": func(all []readmodel.Problem) error {
			slices.Reverse(all)
			return readmodel.ClearProblems(context.Background(), pool, all...)
		},
	} {
		for _, partition := range []int{3, 2, 1} {
			note(t, pool, owner, failure(partition, 8))
		}
		all := list(t, pool)
		tx, err := pool.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		lock := func(partition int) {
			if _, err := tx.Exec(t.Context(), `SELECT FROM export.problems WHERE class = 'error' AND partition = $1 FOR UPDATE NOWAIT`, partition); err != nil {
				t.Errorf("%s has locked partition %d while it waits for 1: %v", name, partition, err)
			}
		}
		lock(1)
		ended := make(chan error, 1)
		go func() { ended <- do(all) }()
		testrun.Eventually(t, name+" to wait", func() (waits bool) {
			err := pool.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%export.problems%' AND datname = current_database())`).Scan(&waits)
			return err == nil && waits
		})
		lock(3)
		if err := errors.Join(tx.Rollback(t.Context()), <-ended); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := readmodel.ClearProblems(t.Context(), pool, list(t, pool)...); err != nil {
			t.Fatal(err)
		}
	}
}
