package admin

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"accountexport/events"
	"accountexport/internal/local/testrun"
	"accountexport/internal/workload"
	"accountexport/projections"
)

// TestRefoldWithoutRoomComesToTheSame: a refold that has no room in memory, and writes what
// it can to a file every few messages, stages the same as one that keeps everything, for
// hostile streams with erasures and events that wait for others; also where the account has
// more messages once it was staged.
func TestRefoldWithoutRoomComesToTheSame(t *testing.T) {
	const messages, staged = 4000, 3700
	for seed := range uint64(testrun.AtLength(2, 6)) {
		g := workload.New(200+seed, workload.Config{Accounts: 4, HostileShare: 0.05, ErasureShare: 0.0005, LargeShare: 0.01})
		log := map[events.UUID][]projections.Message{}
		for position := uint64(1); position <= messages; position++ {
			w := g.Next()
			if to := events.ParseSubject(w.Subject); to.Kind == events.SubjectAccount {
				log[to.Account] = append(log[to.Account], projections.Message{Position: position,
					Message: events.Message{Subject: w.Subject, Header: w.Header, Data: w.Data}})
			}
		}
		read := func(_ context.Context, account events.UUID, after, upTo uint64, each func(projections.Message) error) error {
			for _, m := range log[account] {
				if m.Position > after && m.Position <= upTo {
					if err := each(m); err != nil {
						return err
					}
				}
			}
			return nil
		}
		spilled := 0
		for id := range log {
			var results [2]refoldResult
			for i, room := range []int{1 << 40, 0} {
				f := newRefold(id, room)
				for _, upTo := range []uint64{staged, messages} {
					if _, err := f.foldUpTo(t.Context(), read, upTo); err != nil {
						t.Fatal(err)
					}
				}
				if i == 1 && f.spill != nil && f.spill.Pages() > 0 {
					spilled++
				}
				results[i] = resultOf(t, f)
				f.close()
			}
			if diff := gocmp.Diff(results[0], results[1], cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("seed %d, account %s: -with room +without:\n%s", seed, id, diff)
			}
		}
		if spilled == 0 {
			t.Errorf("seed %d: no page was let go of", seed)
		}
	}
}

// refoldResult is all that a refold writes.
type refoldResult struct {
	Base          projections.Change
	Delta         *projections.Change
	Parked, Since []projections.ParkedMessage
	Sum           Sum
	Facts         Facts
	Extent        projections.Extent
	Outcomes      map[uint64]projections.Outcome
}

func resultOf(t *testing.T, f *accountFold) refoldResult {
	t.Helper()
	r := refoldResult{Base: f.base, Delta: f.delta, Parked: f.parked, Since: f.parkedSince(), Sum: f.sum, Facts: f.facts, Outcomes: f.Outcomes}
	r.Base.Pages, r.Base.Sealed, r.Base.Waiting = nil, nil, nil
	if err := f.eachPart(func(c projections.Change) error {
		r.Base.Pages = append(r.Base.Pages, c.Pages...)
		r.Base.Sealed = append(r.Base.Sealed, c.Sealed...)
		for _, w := range c.Waiting {
			if w.Body != nil {
				r.Base.Waiting = append(r.Base.Waiting, w)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	var err error
	if r.Extent, err = f.extent(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []*projections.Change{&r.Base, r.Delta} {
		if c == nil {
			continue
		}
		slices.SortFunc(c.Pages, func(a, b projections.Page) int {
			return cmp.Or(cmp.Compare(a.Section, b.Section), cmp.Compare(a.Key, b.Key))
		})
		slices.SortFunc(c.Sealed, func(a, b projections.SealedItem) int {
			return cmp.Or(cmp.Compare(a.Section, b.Section), cmp.Compare(a.Item, b.Item))
		})
		slices.SortFunc(c.Waiting, func(a, b projections.WaitingPatch) int {
			return cmp.Or(cmp.Compare(a.Entity, b.Entity), cmp.Compare(a.ID, b.ID), bytes.Compare(a.Body, b.Body))
		})
	}
	return r
}
