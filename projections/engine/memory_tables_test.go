package engine

import (
	"fmt"
	"time"
)

// tables is everything that is stored except the checkpoints, as text by key.
func (s *memoryStore) tables() map[string]string {
	out := map[string]string{}
	for id, r := range s.Rows {
		var erased string
		if r.ErasedAt != nil {
			erased = r.ErasedAt.String()
		}
		r.ErasedAt = nil
		out["row "+id.String()] = fmt.Sprintf("%s %q", erased, fmt.Sprintf("%+v %s %s %s %s %s", [...]any{r.Partition, r.Position,
			r.Parked, r.QuotaTierID, r.UsageLow, r.UsagePages, r.KeyPages, r.SandboxPages, r.Waiting},
			r.User, r.Team, r.Usage, r.Keys, r.Sandboxes))
	}
	for id, n := range s.Sums {
		out["sum "+id.String()] = fmt.Sprint(n.Messages, n.Digest)
	}
	for k, body := range s.Pages {
		out[fmt.Sprintf("page %s %d %s", k.Account, k.Section, k.Key)] = string(body)
	}
	for k, page := range s.Items {
		out[fmt.Sprintf("item %s %d %s", k.Account, k.Section, k.Key)] = page
	}
	for k, patch := range s.Waiting {
		out[fmt.Sprintf("waiting %s %d %s", k.Account, k.Entity, k.ID)] = string(patch)
	}
	for id, t := range s.Tiers {
		out["tier "+id] = fmt.Sprintf("%d %d %s", t.Partition, t.Position, t.Body)
	}
	for position, m := range s.Parked {
		var account string
		if m.Account != nil {
			account = m.Account.String()
		}
		out[fmt.Sprintf("parked %d", position)] = fmt.Sprintf("%d %s %s %s %s %s %q", m.Partition, account,
			m.Time.Format(time.RFC3339Nano), m.Subject, m.Type, m.Reason, m.Payload)
	}
	return out
}

// withoutPositions is the tables without positions and stream timestamps, for streams that
// hold the same messages at other positions.
func (s *memoryStore) withoutPositions() map[string]string {
	c := newMemoryStore(s.t)
	c.Pages, c.Items, c.Waiting = s.Pages, s.Items, s.Waiting
	for id, r := range s.Rows {
		r.Position = 0
		c.Rows[id] = r
	}
	for id, d := range s.Tiers {
		d.Position = 0
		c.Tiers[id] = d
	}
	return c.tables()
}
