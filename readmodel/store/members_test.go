package store_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/internal/local/postgres"
	"accountexport/projections/engine"
	"accountexport/readmodel"
	"accountexport/readmodel/admin"
	"accountexport/readmodel/internal/readmodeltest"
	"accountexport/readmodel/store"
)

// TestReplicasShareEvenly: four partitions among one, two and three replicas;
// what one gives up another takes, in a new epoch, and who leaves leaves all.
func TestReplicasShareEvenly(t *testing.T) {
	pool, _ := readmodeltest.Open(t)
	// Nobody goes silent here, however slow the machine is.
	steady := func(name string) *store.Store {
		s := readmodeltest.Member(t, pool, name)
		s.Takeover = time.Minute
		return s
	}
	one, two, three := steady("one"), steady("two"), steady("three")
	own := readmodeltest.Acquire(t, one)
	if len(own.Checkpoints) != 4 || !own.Dynamic {
		t.Fatalf("alone: %+v", own)
	}
	if own := readmodeltest.Acquire(t, two); len(own.Checkpoints) != 0 || !own.Dynamic {
		t.Errorf("joining while all is taken: %+v", own)
	}
	got := readmodeltest.Heartbeat(t, one)
	if got.Target != 2 || len(got.Owned) != 4 {
		t.Errorf("with a second: %+v", got)
	}
	for _, c := range own.Checkpoints[2:] {
		if err := one.Release(t.Context(), 1, c); err != nil {
			t.Fatal(err)
		}
	}
	got = readmodeltest.Heartbeat(t, two)
	if len(got.Owned) != 2 || got.Owned[0].Partition != 2 || got.Owned[1].Partition != 3 || got.Owned[0].Epoch <= own.Checkpoints[2].Epoch {
		t.Errorf("the second takes %+v", got)
	}
	if err := one.Release(t.Context(), 1, own.Checkpoints[2]); !errors.Is(err, engine.ErrFenced) { // not its own any more
		t.Error(err)
	}
	if got := readmodeltest.Heartbeat(t, two); len(got.Owned) != 2 {
		t.Errorf("the first gave up what is the second's: %+v", got)
	}
	readmodeltest.Acquire(t, three)
	for s, due := range map[*store.Store]int{one: 2, two: 1, three: 1} {
		if got := readmodeltest.Heartbeat(t, s); got.Target != due {
			t.Errorf("among three: %+v, want %d", got, due)
		}
	}
	st, err := admin.ReadStatus(t.Context(), pool)
	if err != nil {
		t.Fatal(err)
	}
	names := ""
	for _, m := range st.Members {
		names += fmt.Sprintf("%s %d, ", m.Name, m.Partitions)
	}
	if names != "one 2, two 2, three 0, " {
		t.Errorf("members: %s", names)
	}
	one.Close(t.Context())
	three.Close(t.Context())
	if got := readmodeltest.Heartbeat(t, two); len(got.Owned) != 4 {
		t.Errorf("the last one has %+v", got)
	}
	// Without taking, a share is only told.
	two.Close(t.Context())
	readmodeltest.Acquire(t, one)
	if got, err := one.Heartbeat(t.Context(), 1, false); err != nil || len(got.Owned) != 4 {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestKilledReplicaIsReplaced: one whose connection has ended is silent for a
// fifth of the time only.
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

// TestLateHeartbeatsAreWaitedFor: a server that takes longer for a heartbeat
// than a member may be silent costs the member nothing: it waits for its
// answer, and the others know that it has asked.
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

// TestTakenPartitionOutlivesACrash: an epoch that has begun has begun, also
// where the server crashes at once: nobody else gets the same one.
func TestTakenPartitionOutlivesACrash(t *testing.T) {
	// What is not waited for reaches the disk late, as on a server that is busy.
	pg, err := postgres.Start(t.Context(), postgres.Options{Settings: map[string]string{"wal_writer_delay": "10s"}})
	postgres.Check(t, err)
	t.Cleanup(func() { _ = pg.Stop(context.Background()) })
	if err := readmodel.Migrate(t.Context(), pg.URL()); err != nil {
		t.Fatal(err)
	}
	pool, err := pgxpool.New(t.Context(), pg.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	s := store.NewStore(pool, "one", readmodeltest.Quiet)
	s.Takeover = time.Minute
	t.Cleanup(func() { s.Close(context.Background()) })
	readmodeltest.Acquire(t, s)
	taken := readmodeltest.Heartbeat(t, s).Owned
	if len(taken) != 4 {
		t.Fatalf("it owns %+v", taken)
	}
	if err := pg.StopImmediate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := pg.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	pool.Reset()
	for _, c := range taken {
		var epoch int64
		err := pool.QueryRow(t.Context(), `SELECT epoch FROM export.checkpoints WHERE generation = 1 AND partition = $1`, c.Partition).Scan(&epoch)
		if err != nil || epoch != c.Epoch {
			t.Errorf("partition %d is in epoch %d after the crash, and was taken in %d (%v)", c.Partition, epoch, c.Epoch, err)
		}
	}
}

// TestBusyHeartbeatOfADeadReplica: one that was killed while the server was at
// its heartbeat is replaced, although that holds its row, within the time.
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

// TestLostConnectionIsMadeAnew: a member whose connection was cut goes on over
// a new one, and keeps what it owns.
func TestLostConnectionIsMadeAnew(t *testing.T) {
	pool, s := readmodeltest.Open(t)
	own := readmodeltest.Acquire(t, s)
	if _, err := pool.Exec(t.Context(), `SELECT pg_terminate_backend(backend) FROM export.members`); err != nil {
		t.Fatal(err)
	}
	deadline := time.After(20 * time.Second)
	for {
		got, err := s.Heartbeat(t.Context(), 1, true)
		if err == nil {
			if len(got.Owned) != 4 || got.Owned[0].Epoch != own.Checkpoints[0].Epoch {
				t.Errorf("it owns %+v", got)
			}
			return
		}
		select {
		case <-deadline:
			t.Fatal(err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// TestFrozenTransactionHoldsNobodyUp: a replica that stops in the middle of a
// commit, its checkpoints locked, is taken over all the same.
func TestFrozenTransactionHoldsNobodyUp(t *testing.T) {
	pool, _ := readmodeltest.Open(t)
	cfg := pool.Config()
	cfg.ConnConfig.RuntimeParams["application_name"] = store.ApplicationName("one")
	ones, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer ones.Close()
	one := readmodeltest.Member(t, ones, "one")
	readmodeltest.Acquire(t, one)
	tx, err := ones.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	if _, err := tx.Exec(t.Context(), `UPDATE export.checkpoints SET position = 7 WHERE generation = 1`); err != nil {
		t.Fatal(err)
	}
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

// TestOwnTransactionThatHangsIsEnded: what a replica has left under way on a
// connection that it has lost does not keep it from beginning anew.
func TestOwnTransactionThatHangsIsEnded(t *testing.T) {
	pool, _ := readmodeltest.Open(t)
	cfg := pool.Config()
	cfg.ConnConfig.RuntimeParams["application_name"] = store.ApplicationName("one")
	ones, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer ones.Close()
	one := readmodeltest.Member(t, ones, "one")
	readmodeltest.Acquire(t, one)
	tx, err := ones.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	if _, err := tx.Exec(t.Context(), `UPDATE export.checkpoints SET position = 7 WHERE generation = 1`); err != nil {
		t.Fatal(err)
	}
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

// TestClockSetBack: a member that was seen in the future, by a clock that was
// set back since, is dead like any other.
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

// TestMembersOfAnotherGenerationAreFenced: who projects what is no longer live
// learns of it, also without a partition.
func TestMembersOfAnotherGenerationAreFenced(t *testing.T) {
	pool, _ := readmodeltest.Open(t)
	one, two := readmodeltest.Member(t, pool, "one"), readmodeltest.Member(t, pool, "two")
	one.Takeover, two.Takeover = time.Minute, time.Minute // nobody goes silent, however slow the machine is
	readmodeltest.Acquire(t, one)
	readmodeltest.Acquire(t, two)
	if _, err := pool.Exec(t.Context(), `UPDATE export.generations SET state = 'retired'`); err != nil {
		t.Fatal(err)
	}
	for _, s := range []*store.Store{one, two} {
		if _, err := s.Heartbeat(t.Context(), 1, true); !errors.Is(err, engine.ErrFenced) {
			t.Errorf("%v, want fenced", err)
		}
	}
}
