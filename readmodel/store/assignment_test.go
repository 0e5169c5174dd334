package store_test

import (
	"errors"
	"testing"

	"accountexport/projections/engine"
	"accountexport/readmodel"
	"accountexport/readmodel/admin"
	"accountexport/readmodel/internal/readmodeltest"
)

// TestOwnedTellsWhatWasTouched: Owned returns where a replica's partitions stand, of
// those that it asks for and still owns; and nothing of a generation that is another
// stream's.
func TestOwnedTellsWhatWasTouched(t *testing.T) {
	pool, s := readmodeltest.Open(t)
	own := readmodeltest.Acquire(t, s)
	if _, err := pool.Exec(t.Context(), `
UPDATE export.checkpoints SET epoch = epoch + 1, position = 7 WHERE partition = 1;
UPDATE export.checkpoints SET owner = 'another' WHERE partition = 2`); err != nil {
		t.Fatal(err)
	}
	got, err := s.Owned(t.Context(), 1, []int{0, 1, 2})
	if err != nil || len(got) != 2 || got[0].Epoch != own.Checkpoints[0].Epoch || got[1].Partition != 1 ||
		got[1].Epoch != own.Checkpoints[1].Epoch+1 || got[1].Position != 7 {
		t.Errorf("%+v, %v", got, err)
	}
	g, err := readmodel.LiveGeneration(t.Context(), pool)
	if err != nil {
		t.Fatal(err)
	}
	other := readmodeltest.Stream
	other.Created = readmodeltest.Noon
	if err := admin.AcceptStream(t.Context(), pool, g, other, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Owned(t.Context(), 1, []int{0}); !errors.Is(err, engine.ErrFenced) {
		t.Errorf("on another stream: %v", err)
	}
}

// TestReleaseTellsWhetherItDid: a partition whose epoch was moved on is not released
// in the epoch before, and the caller gets an error, rather than that the partition
// stays with a replica that does not project it.
func TestReleaseTellsWhetherItDid(t *testing.T) {
	pool, s := readmodeltest.Open(t)
	c := readmodeltest.Acquire(t, s).Checkpoints[1]
	if _, err := pool.Exec(t.Context(), `UPDATE export.checkpoints SET epoch = epoch + 1 WHERE partition = 1`); err != nil {
		t.Fatal(err)
	}
	if err := s.Release(t.Context(), 1, c); !errors.Is(err, engine.ErrFenced) {
		t.Errorf("in an epoch that is over: %v", err)
	}
	own, err := s.Owned(t.Context(), 1, []int{1})
	if err != nil || len(own) != 1 {
		t.Fatalf("%+v, %v", own, err)
	}
	if err := s.Release(t.Context(), 1, own[0]); err != nil {
		t.Error(err)
	}
	if own, err := s.Owned(t.Context(), 1, []int{1}); err != nil || len(own) != 0 {
		t.Errorf("released, it owns %+v, %v", own, err)
	}
}
