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

// TestReplicasShareEvenly: one, two and three replicas share four partitions. What one
// gives up another takes, in a new epoch, and a replica that leaves gives up all of
// them.
func TestReplicasShareEvenly(t *testing.T) {
	pool, _ := readmodeltest.Open(t)
	// No replica is taken for silent here, however slow the machine is.
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
	if err := one.Release(t.Context(), 1, own.Checkpoints[2]); !errors.Is(err, engine.ErrFenced) { // another replica owns it now
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
	// A heartbeat that takes nothing still says how many partitions are the replica's share.
	two.Close(t.Context())
	readmodeltest.Acquire(t, one)
	if got, err := one.Heartbeat(t.Context(), 1, false); err != nil || len(got.Owned) != 4 {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestMembersOfAnotherGenerationAreFenced: a replica that projects a generation which
// is no longer live is fenced by its heartbeat, also where it owns no partition.
func TestMembersOfAnotherGenerationAreFenced(t *testing.T) {
	pool, _ := readmodeltest.Open(t)
	one, two := readmodeltest.Member(t, pool, "one"), readmodeltest.Member(t, pool, "two")
	one.Takeover, two.Takeover = time.Minute, time.Minute // no replica is taken for silent, however slow the machine is
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

// TestTakenPartitionOutlivesACrash: an epoch that has begun stays so, also where the
// server crashes at once: no other replica is given the same one.
func TestTakenPartitionOutlivesACrash(t *testing.T) {
	// Commits that do not wait for the disk reach it late, as on a busy server.
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

// TestLostConnectionIsMadeAnew: a member whose connection was cut goes on over a new
// one, and keeps what it owns.
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
