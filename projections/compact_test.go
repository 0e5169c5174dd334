package projections

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"accountexport/events"
	"accountexport/internal/local/testrun"
)

// TestCompactChangesNothing has random events change one account twice: once it is made
// compact after some batches, once never. Both write the same, to the byte, and what a
// batch was given to write stays as it is while further events change the account.
func TestCompactChangesNothing(t *testing.T) {
	testrun.Seeds(t, func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 1))
		plain, compacted := newStage(t), newStage(t)
		var written, kept []Change
		for batch := range 50 {
			for range 1 + r.IntN(6) {
				data := anyEvent(r)
				if a, b := plain.apply(data), compacted.apply(data); a != b {
					t.Fatalf("%s: %s, and %s once it was compact", data.Type(), a, b)
				}
			}
			want, err := plain.a.Flush()
			got, err2 := compacted.a.Flush()
			if err != nil || err2 != nil {
				t.Fatal(err, err2)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("batch %d (-never +sometimes compact):\n%s", batch, diff)
			}
			written, kept = append(written, got), append(kept, cloneChange(got))
			if r.IntN(2) == 0 {
				compacted.a.Compact()
				if compacted.a.team != nil || compacted.a.sandboxes.tail != nil || compacted.a.keys.tail != nil || compacted.a.usage.tail != nil {
					t.Fatal("it keeps what was parsed")
				}
			}
		}
		if diff := cmp.Diff(kept, written); diff != "" {
			t.Errorf("later events have changed what was written (-then +now):\n%s", diff)
		}
	})
}

// TestCompactKeepsChanges: what was not flushed yet is not lost.
func TestCompactKeepsChanges(t *testing.T) {
	s := newStage(t)
	s.apply(&events.TeamCreated{ID: events.UUID{2}, Name: "T", Slug: "t", QuotaTierID: "free"})
	s.flush()
	s.apply(&events.TeamQuotaTierChanged{ID: events.UUID{2}, QuotaTierID: "pro"})
	s.a.Compact()
	if tier, err := s.a.Tier(); tier != "pro" || err != nil {
		t.Errorf("tier %q, %v", tier, err)
	}
}

// anyEvent draws an event of a small set of entities, some of which do not exist yet.
func anyEvent(r *rand.Rand) events.Payload {
	team, key := events.UUID{2}, events.UUID{3, byte(r.IntN(4))}
	box := sandbox(r.IntN(60)).ID
	switch r.IntN(12) {
	case 0:
		return &events.UserRegistered{Email: "ada@example.com", Tier: "pro", QuotaTierID: "pro"}
	case 1:
		return &events.UserProfileUpdated{Name: events.Some(fmt.Sprint("Ada ", r.IntN(9)))}
	case 2:
		return &events.UserAbuseFlagsChanged{Flags: []events.Flag{{Name: fmt.Sprint("f", r.IntN(99)), Value: []byte("true")}}}
	case 3:
		return &events.TeamCreated{ID: team, Name: "T", Slug: "t", QuotaTierID: "pro"}
	case 4:
		return &events.TeamQuotaTierChanged{ID: team, QuotaTierID: fmt.Sprint("tier-", r.IntN(9))}
	case 5:
		return &events.QuotaUsageIncremented{QuotaUsage: events.QuotaUsage{TeamID: team, UsageDate: events.Date(fmt.Sprintf("2026-03-%02d", 1+r.IntN(28))), SandboxCreates: 1, GBHours: 5}}
	case 6:
		return &events.APIKeyCreated{ID: key, TeamID: team, KeyPrefix: "k", Name: "n", Scope: "all"}
	case 7:
		return &events.APIKeyUsed{ID: key}
	case 8, 9:
		return &events.SandboxCreated{ID: box, Template: "base", Metadata: []byte(`{"owner":"somebody"}`)}
	case 10:
		return &events.SandboxDestroyed{ID: box}
	}
	return &events.SandboxStatusChanged{ID: box, Status: fmt.Sprint("status ", r.IntN(9))}
}

func cloneChange(c Change) Change {
	c.Row = cloneRow(c.Row)
	c.Pages = slices.Clone(c.Pages)
	for i := range c.Pages {
		c.Pages[i].Body = bytes.Clone(c.Pages[i].Body)
	}
	return c
}
