package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/readmodel/internal/readmodeltest"
	"accountexport/readmodel/store"
)

// TestKilledReplicaIsReplaced: a replica whose connection has ended is replaced after
// a fifth of the takeover time.
func TestKilledReplicaIsReplaced(t *testing.T) {
	pool, _ := readmodeltest.Open(t)
	one, two := readmodeltest.Member(t, pool, "one"), readmodeltest.Member(t, pool, "two")
	two.Takeover = 3 * time.Second
	readmodeltest.Acquire(t, one)
	readmodeltest.Acquire(t, two)
	if _, err := pool.Exec(t.Context(), `SELECT pg_terminate_backend(backend) FROM export.members WHERE member = 'one'`); err != nil {
		t.Fatal(err)
	}
	readmodeltest.AwaitShare(t, two, 4)
}

// TestLateHeartbeatsAreWaitedFor: a server that takes longer for a heartbeat than a
// member may be silent costs the member nothing: it waits for the answer, and the
// others see that it has asked.
func TestLateHeartbeatsAreWaitedFor(t *testing.T) {
	t.Parallel()
	pool, _ := readmodeltest.Open(t)
	one, two := readmodeltest.Member(t, pool, "one"), readmodeltest.Member(t, pool, "two")
	one.Takeover, two.Takeover = 2*time.Second, 2*time.Second
	own := readmodeltest.Acquire(t, one)
	readmodeltest.Acquire(t, two)
	if _, err := pool.Exec(t.Context(), `
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(1.4); RETURN NEW; END $$;
CREATE TRIGGER slow BEFORE UPDATE ON export.members FOR EACH ROW WHEN (OLD.member = 'one') EXECUTE FUNCTION slow()`); err != nil {
		t.Fatal(err)
	}
	beats := make(chan error)
	go func() {
		defer close(beats)
		for range 4 {
			got, err := one.Heartbeat(t.Context(), 1, true)
			if err == nil && (len(got.Owned) != 4 || got.Owned[0].Epoch != own.Checkpoints[0].Epoch) {
				err = fmt.Errorf("it owns %+v, and had %+v", got, own)
			}
			beats <- err
		}
	}()
	for beating := true; beating; {
		select {
		case err, more := <-beats:
			if err != nil {
				t.Error(err)
			}
			beating = more
		case <-time.After(20 * time.Millisecond):
			if got := readmodeltest.Heartbeat(t, two); len(got.Owned) != 0 {
				t.Fatalf("the other takes partitions of one that is only late: %+v", got)
			}
		}
	}
}

// TestBusyHeartbeatOfADeadReplica: a replica that was killed while the server worked
// on its heartbeat is replaced within the takeover time, although the heartbeat holds
// its row.
func TestBusyHeartbeatOfADeadReplica(t *testing.T) {
	t.Parallel()
	pool, _ := readmodeltest.Open(t)
	one, two := readmodeltest.Member(t, pool, "one"), readmodeltest.Member(t, pool, "two")
	readmodeltest.Acquire(t, one)
	readmodeltest.Acquire(t, two)
	if _, err := pool.Exec(t.Context(), `
CREATE FUNCTION stuck() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(600); RETURN NEW; END $$;
CREATE TRIGGER stuck BEFORE UPDATE ON export.members FOR EACH ROW WHEN (OLD.member = 'one') EXECUTE FUNCTION stuck()`); err != nil {
		t.Fatal(err)
	}
	stuck := make(chan error, 1)
	go func() {
		_, err := one.Heartbeat(t.Context(), 1, true)
		stuck <- err
	}()
	readmodeltest.AwaitShare(t, two, 4)
	if err := <-stuck; err == nil {
		t.Error("the heartbeat that never ends has ended well")
	}
}

// freezeCommit is the replica "one", which owns all partitions, and a transaction of its
// that has moved all checkpoints and does not go on.
func freezeCommit(t *testing.T, pool *pgxpool.Pool) (one *store.Store, tx pgx.Tx) {
	t.Helper()
	ones := readmodeltest.PoolWith(t, pool, func(cfg *pgxpool.Config) {
		cfg.ConnConfig.RuntimeParams["application_name"] = store.ApplicationName("one")
	})
	one = readmodeltest.Member(t, ones, "one")
	readmodeltest.Acquire(t, one)
	tx, err := ones.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	if _, err := tx.Exec(t.Context(), `UPDATE export.checkpoints SET position = 7 WHERE generation = 1`); err != nil {
		t.Fatal(err)
	}
	return one, tx
}

// TestFrozenTransactionHoldsNobodyUp: a replica that stops in the middle of a commit,
// with its checkpoints locked, is taken over all the same.
func TestFrozenTransactionHoldsNobodyUp(t *testing.T) {
	pool, _ := readmodeltest.Open(t)
	_, tx := freezeCommit(t, pool)
	two := readmodeltest.Member(t, pool, "two")
	readmodeltest.Acquire(t, two)
	own := readmodeltest.AwaitShare(t, two, 4)
	if own.Checkpoints[0].Position != 0 {
		t.Errorf("taken over at %+v", own.Checkpoints[0])
	}
	if err := tx.Commit(t.Context()); err == nil {
		t.Error("the frozen transaction was committed")
	}
}

// TestOwnTransactionThatHangsIsEnded: what a replica has left running on a connection
// that it has lost does not keep it from beginning anew.
func TestOwnTransactionThatHangsIsEnded(t *testing.T) {
	pool, _ := readmodeltest.Open(t)
	one, _ := freezeCommit(t, pool)
	for try := 0; ; try++ {
		own, err := one.Acquire(t.Context(), readmodeltest.Stream)
		if err == nil {
			if len(own.Checkpoints) != 4 || own.Checkpoints[0].Position != 0 {
				t.Errorf("begun anew with %+v", own)
			}
			return
		}
		if try == 5 {
			t.Fatal(err)
		}
	}
}

// TestClockSetBack: a dead member that was seen in the future, by a clock that was set
// back since, is removed like any other.
func TestClockSetBack(t *testing.T) {
	pool, _ := readmodeltest.Open(t)
	one, two := readmodeltest.Member(t, pool, "one"), readmodeltest.Member(t, pool, "two")
	readmodeltest.Acquire(t, one)
	if _, err := pool.Exec(t.Context(), `UPDATE export.members SET seen_at = seen_at + interval '1 hour'`); err != nil {
		t.Fatal(err)
	}
	readmodeltest.Acquire(t, two)
	readmodeltest.AwaitShare(t, two, 4)
}
