package projections

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"accountexport/events"
)

// document puts an account's export together from the tables, as the API does.
func (s *memoryStore) document(id events.UUID) (doc string, missing []string) {
	r := s.rows[id]
	tier, ok := s.tiers[r.QuotaTierID]
	if r.ErasedAt != nil {
		return "", nil
	}
	if missing = Missing(r.User != nil, r.Team != nil, ok); missing != nil {
		return "", missing
	}
	section := func(kind SectionKind, tail []byte) []byte {
		var keys []string
		for k := range s.pages {
			if k.account == id && k.section == kind {
				keys = append(keys, k.key)
			}
		}
		slices.Sort(keys)
		var parts [][]byte
		for _, k := range keys {
			parts = append(parts, s.pages[sectionKey{id, kind, k}])
		}
		if len(tail) > 0 {
			parts = append(parts, tail)
		}
		return bytes.Join(parts, []byte(","))
	}
	return fmt.Sprintf(`{"user":%s,"team":%s,"quota_tier":%s,"quota_usage":[%s],"api_keys":[%s],"sandboxes":[%s]}`,
		r.User, r.Team, tier.Body, section(UsageSection, r.Usage), section(KeySection, r.Keys),
		section(SandboxSection, r.Sandboxes)), nil
}

// tables is all that is stored, checkpoints aside, as text.
func (s *memoryStore) tables() map[string]string {
	out := map[string]string{}
	for id, r := range s.rows {
		var erased string
		if r.ErasedAt != nil {
			erased = r.ErasedAt.String()
		}
		r.ErasedAt = nil
		out["row "+id.String()] = fmt.Sprintf("%s %q", erased, fmt.Sprintf("%+v %s %s %s %s %s", [...]any{r.Partition, r.Position,
			r.Parked, r.QuotaTierID, r.UsageLow, r.UsagePages, r.KeyPages, r.SandboxPages, r.Waiting},
			r.User, r.Team, r.Usage, r.Keys, r.Sandboxes))
	}
	for id, n := range s.sums {
		out["sum "+id.String()] = fmt.Sprint(n.messages, n.digest)
	}
	for k, body := range s.pages {
		out[fmt.Sprintf("page %s %d %s", k.account, k.section, k.key)] = string(body)
	}
	for k, page := range s.items {
		out[fmt.Sprintf("item %s %d %s", k.account, k.section, k.key)] = page
	}
	for k, patch := range s.waiting {
		out[fmt.Sprintf("waiting %s %d %s", k.account, k.kind, k.id)] = string(patch)
	}
	for id, t := range s.tiers {
		out["tier "+id] = fmt.Sprintf("%d %d %s", t.Partition, t.Position, t.Body)
	}
	for position, m := range s.parked {
		var account string
		if m.Account != nil {
			account = m.Account.String()
		}
		out[fmt.Sprintf("parked %d", position)] = fmt.Sprintf("%d %s %s %s %s %s %q", m.Partition, account,
			m.Time.Format(time.RFC3339Nano), m.Subject, m.Type, m.Reason, m.Payload)
	}
	return out
}

// digest sums up what is stored of an account, from nothing.
func (s *memoryStore) digest(id events.UUID) Digest {
	r := s.rows[id]
	d := DigestRow(&r)
	for k, body := range s.pages {
		if k.account == id {
			d = d.Plus(DigestPage(k.section, k.key, body))
		}
	}
	for k, patch := range s.waiting {
		if k.account == id {
			d = d.Plus(DigestWaiting(k.kind, k.id, patch))
		}
	}
	for position, m := range s.parked {
		if m.Account != nil && *m.Account == id {
			d = d.Plus(DigestParked(position, m.Payload))
		}
	}
	return d
}

// withoutPositions is the tables with positions and times of the stream left out, for
// streams that hold the same messages at other positions.
func (s *memoryStore) withoutPositions() map[string]string {
	c := newMemoryStore(s.t)
	c.pages, c.items, c.waiting = s.pages, s.items, s.waiting
	for id, r := range s.rows {
		r.Position = 0
		c.rows[id] = r
	}
	for id, d := range s.tiers {
		d.Position = 0
		c.tiers[id] = d
	}
	return c.tables()
}
