package acts

import (
	"testing"

	"accountexport/events"
	"accountexport/internal/workload"
	"accountexport/projections"
)

// TestFoldThatLetsGoComesToTheSame: a fold that has no room in memory, and evicts what
// it can every few messages, has the same result as one that keeps everything, for
// hostile streams with erasures and events that wait for others.
func TestFoldThatLetsGoComesToTheSame(t *testing.T) {
	for seed := range uint64(6) {
		g := workload.New(100+seed, workload.Config{Accounts: 4, HostileShare: 0.05, ErasureShare: 0.0005, LargeShare: 0.01})
		whole, letting := map[events.UUID]*fold{}, map[events.UUID]*fold{}
		for position := uint64(1); position <= 4000; position++ {
			w := g.Next()
			m := projections.Message{Position: position, Message: events.Message{Subject: w.Subject, Header: w.Header, Data: w.Data}}
			to := events.ParseSubject(m.Subject)
			if to.Kind != events.SubjectAccount {
				continue
			}
			if whole[to.Account] == nil {
				whole[to.Account], letting[to.Account] = newFold(to.Account), newFold(to.Account)
				whole[to.Account].limit, letting[to.Account].limit = 1<<40, 1
			}
			for _, f := range []*fold{whole[to.Account], letting[to.Account]} {
				if err := f.apply(m); err != nil {
					t.Fatal(err)
				}
			}
		}
		spilled := 0
		for id, f := range whole {
			want, err := f.sum()
			if err != nil {
				t.Fatal(err)
			}
			other := letting[id]
			if other.spill != nil && other.spill.Pages() > 0 {
				spilled++
			}
			if got, err := other.sum(); err != nil || got != want {
				t.Errorf("seed %d, account %s: %+v, %v; want %+v", seed, id, got, err, want)
			}
			other.close()
		}
		if spilled == 0 {
			t.Errorf("seed %d: nothing was let go of", seed)
		}
	}
}
