package store_test

import (
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/internal/local/tcpproxy"
	"accountexport/readmodel/internal/readmodeltest"
)

// TestStalledPoolGivesUpItsPartitions: what the pool connects through stands still, as
// a pooler that is paused, while the member's own connection works. The replica that
// begins again takes no partitions, and leaves those that it had to the other one.
// Once the pool answers it has its share.
func TestStalledPoolGivesUpItsPartitions(t *testing.T) {
	direct, _ := readmodeltest.Open(t)
	u, err := url.Parse(direct.Config().ConnString())
	if err != nil {
		t.Fatal(err)
	}
	pooler := tcpproxy.ForTest(t, u.Host)
	u.Host = pooler.Addr()
	pool, err := pgxpool.New(t.Context(), u.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	t.Cleanup(func() { pooler.Cut() }) // runs first: closing would wait for an answer
	stalled, other := readmodeltest.Member(t, pool, "stalled"), readmodeltest.Member(t, direct, "other")
	stalled.Takeover, other.Takeover = 2*time.Second, 2*time.Second
	stalled.Direct = direct.Config().ConnConfig
	all := len(readmodeltest.Acquire(t, stalled).Checkpoints)
	readmodeltest.Acquire(t, other)
	stop := make(chan struct{})
	taken := make(chan struct{})
	go func() { // releases half of the partitions when the other replica joins, as the engine does
		defer close(taken)
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
			got, err := stalled.Heartbeat(t.Context(), 1, false)
			if err != nil {
				continue
			}
			for _, c := range got.Owned[min(len(got.Owned), got.Target):] {
				_ = stalled.Release(t.Context(), 1, c)
			}
		}
	}()
	readmodeltest.AwaitShare(t, other, all/2)
	close(stop)
	<-taken
	pooler.Stall()
	if own, err := stalled.Acquire(t.Context(), readmodeltest.Stream); err == nil {
		t.Errorf("it has taken %d partitions, though its pool does not answer", len(own.Checkpoints))
	}
	readmodeltest.AwaitShare(t, other, all)
	pooler.Resume()
	pooler.Cut() // ends the connections that stood still
	readmodeltest.Acquire(t, stalled)
	for deadline := time.Now().Add(20 * time.Second); ; {
		if got := readmodeltest.Heartbeat(t, other); got.Target == all/2 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("it is no member again")
		}
		readmodeltest.Heartbeat(t, stalled)
	}
}
