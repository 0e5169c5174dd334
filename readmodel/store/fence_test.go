package store_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"accountexport/events"
	"accountexport/projections"
	"accountexport/projections/engine"
	"accountexport/readmodel/export"
	"accountexport/readmodel/internal/readmodeltest"
)

// TestTwoOwnersNeverBothCommit: a replica has gone silent without noticing it, and another
// one has taken its partitions over. The old owner's commits and heartbeats are fenced.
func TestTwoOwnersNeverBothCommit(t *testing.T) {
	pool, s := readmodeltest.Open(t)
	s.Takeover = 500 * time.Millisecond
	a := readmodeltest.NewAccount(t, s, readmodeltest.Acquire(t, s), readmodeltest.AccountID)
	a.Register()
	if err := a.Commit(readmodeltest.FreeTier); err != nil {
		t.Fatal(err)
	}
	// The first owner goes silent without noticing it, and another replica takes over.
	second := readmodeltest.Member(t, pool, "two")
	readmodeltest.Acquire(t, second)
	own := readmodeltest.AwaitShare(t, second, 4)
	b := readmodeltest.NewAccount(t, second, own, readmodeltest.AccountID)
	b.Position = a.Position

	a.Apply(events.NewUserEmailChanged(a.Meta(), a.ID, events.UserEmailChanged{Email: "old-owner@example.org"}))
	if err := a.Commit(); !errors.Is(err, engine.ErrFenced) {
		t.Fatalf("the old owner's commit: %v, want fenced", err)
	}
	b.Reload(readmodeltest.MustMessage(t)(events.NewUserEmailChanged(b.Meta(), b.ID, events.UserEmailChanged{Email: "new-owner@example.org"})))
	_, doc := readmodeltest.Read(t, export.NewReader(pool), a.ID)
	if !strings.Contains(doc, "new-owner@") || strings.Contains(doc, "old-owner@") {
		t.Errorf("document: %s", doc)
	}
	if _, err := s.Heartbeat(t.Context(), 1, true); err == nil { // the server has ended its connection
		t.Error("the old owner is still a member")
	}
	if _, err := s.Heartbeat(t.Context(), 1, true); !errors.Is(err, engine.ErrFenced) {
		t.Errorf("the old owner tells that it lives: %v, want fenced", err)
	}
}

// TestFencedBatchWritesNothing: each condition of a commit is broken in turn, with
// everything in the batch that a batch can hold. Nothing is written.
func TestFencedBatchWritesNothing(t *testing.T) {
	pool, s := readmodeltest.Open(t)
	a := readmodeltest.NewAccount(t, s, readmodeltest.Acquire(t, s), readmodeltest.AccountID)
	a.Register()
	ch, err := a.State.Flush()
	if err != nil {
		t.Fatal(err)
	}
	epoch := a.Ownership.Checkpoints[1].Epoch
	for name, bad := range map[string]engine.Advance{
		"position behind": {Partition: 1, From: 5, To: 6, Epoch: epoch},
		"epoch before":    {Partition: 1, To: 6, Epoch: epoch - 1},
		"epoch after":     {Partition: 1, To: 6, Epoch: epoch + 1},
		"no partition":    {Partition: 99, To: 6, Epoch: epoch},
	} {
		bad.AsOf = readmodeltest.Noon
		err := s.Commit(t.Context(), &engine.Batch{Generation: 1, Changes: []projections.Change{ch},
			Tiers:    []projections.TierDefinition{readmodeltest.FreeTier},
			Parked:   []projections.ParkedMessage{{Position: 1, Account: &a.ID, Time: readmodeltest.Noon, Payload: []byte("x")}},
			Advances: []engine.Advance{{Partition: 0, To: 6, Epoch: epoch, AsOf: readmodeltest.Noon}, bad}})
		if !errors.Is(err, engine.ErrFenced) {
			t.Errorf("%s: %v, want fenced", name, err)
		}
	}
	var n int
	err = pool.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM export_g1.account_export) + (SELECT count(*) FROM export_g1.quota_tiers)
+ (SELECT count(*) FROM export_g1.parked) + (SELECT max(position) FROM export.checkpoints)`).Scan(&n)
	if err != nil || n != 0 {
		t.Errorf("%d rows or positions were written (%v)", n, err)
	}
}
