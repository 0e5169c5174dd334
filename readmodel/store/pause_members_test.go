package store_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"accountexport/readmodel"
	"accountexport/readmodel/admin"
	"accountexport/readmodel/internal/readmodeltest"
)

// TestPauseIsRepeatable: the first to pause stays on record, with the last note given,
// and many at once are one pause.
func TestPauseIsRepeatable(t *testing.T) {
	pool, live := readmodeltest.Open(t)
	readmodeltest.Acquire(t, live)
	if was, err := admin.Resume(t.Context(), pool); was != nil || err != nil {
		t.Errorf("nothing to resume: %v, %v", was, err)
	}
	if p, err := readmodel.FindPause(t.Context(), pool); p != nil || err != nil {
		t.Errorf("nothing is paused: %v, %v", p, err)
	}
	first, already, err := admin.Pause(t.Context(), pool, "one", "disk")
	if err != nil || already || first.By != "one" || first.Since.IsZero() {
		t.Fatalf("%+v, %v, %v", first, already, err)
	}
	for note, want := range map[string]string{"": "disk", "new disk": "new disk"} {
		again, already, err := admin.Pause(t.Context(), pool, "two", note)
		if err != nil || !already || again.By != "one" || again.Since != first.Since || note != "" && again.Note != want {
			t.Errorf("%+v, %v, %v", again, already, err)
		}
	}
	if p, err := readmodel.FindPause(t.Context(), pool); err != nil || p == nil || p.Note != "new disk" || p.Generation != 1 ||
		!strings.Contains(p.Err().Error(), "by one (new disk): `projector resume` ends that") {
		t.Errorf("%+v, %v", p, err)
	}
	resume(t, pool)
	var firsts atomic.Int64
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			_, already, err := admin.Pause(t.Context(), pool, fmt.Sprint(i), "")
			if err != nil {
				t.Error(err)
			}
			if !already {
				firsts.Add(1)
			}
		})
	}
	all.Wait()
	if firsts.Load() != 1 {
		t.Errorf("%d of eight were the first", firsts.Load())
	}
	resume(t, pool)
}

// TestPausedReplicasLive: a replica that asks whether projecting is still paused is a
// member, also where it was started since, and one that is dead is not for long.
// Partitions keep their owners.
func TestPausedReplicasLive(t *testing.T) {
	pool, _ := readmodeltest.Open(t)
	one, two := readmodeltest.Member(t, pool, "one"), readmodeltest.Member(t, pool, "two")
	own := readmodeltest.Acquire(t, one)
	pause(t, pool)
	before := where(t, pool)
	p, err := two.Paused(t.Context())
	if err != nil || p == nil || p.By != "somebody@here" {
		t.Fatalf("%+v, %v", p, err)
	}
	members := func(want int) error {
		st, err := admin.ReadStatus(t.Context(), pool)
		if err == nil && len(st.Members) != want {
			err = fmt.Errorf("members %+v, want %d", st.Members, want)
		}
		return err
	}
	if err := members(2); err != nil {
		t.Error(err)
	}
	// The second replica is silent from here on.
	for deadline := time.Now().Add(20 * time.Second); members(1) != nil; {
		if _, err := one.Paused(t.Context()); err != nil || time.Now().After(deadline) {
			t.Fatal(err, members(1))
		}
		time.Sleep(20 * time.Millisecond)
	}
	if where(t, pool) != before {
		t.Error("checkpoints moved while paused")
	}
	resume(t, pool)
	if p, err := one.Paused(t.Context()); p != nil || err != nil {
		t.Errorf("%+v, %v", p, err)
	}
	if again := readmodeltest.Acquire(t, one); len(again.Checkpoints) != 4 || again.Checkpoints[0].Epoch <= own.Checkpoints[0].Epoch {
		t.Errorf("after it: %+v", again)
	}
}
