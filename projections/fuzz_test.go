package projections

import (
	"testing"

	"accountexport/events"
)

// FuzzLoadAccount loads an account from arbitrary bytes, and answers every lookup of its
// events with arbitrary bytes. Each event is applied or fails; nothing panics or goes on for
// ever, and what Flush returns can be loaded again.
func FuzzLoadAccount(f *testing.F) {
	var messages []Message
	for _, d := range everyEvent(f) {
		if d.Event.Type != events.TypeAccountErased {
			messages = append(messages, d.Message)
		}
	}
	fold := NewFold()
	for _, m := range messages {
		if _, _, err := fold.Apply(m); err != nil {
			f.Fatal(err)
		}
	}
	whole, err := fold.Account(events.UUID{1}).Flush()
	if err != nil {
		f.Fatal(err)
	}
	r := whole.Row
	patch, err := encodePatch(&sandboxPatch{At: 1, Status: events.Some("x"), Metadata: []byte("{}")})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(r.User, r.Team, r.Usage, r.Keys, r.Sandboxes, "", uint8(0), r.Sandboxes, patch)
	f.Add(r.User, r.Team, r.Usage, r.Keys, r.Sandboxes, "2026-06-01", uint8(255), r.Keys, patch)
	f.Add([]byte(nil), []byte(nil), []byte(nil), []byte(nil), []byte(nil), "3", uint8(0b1110), r.Usage, []byte(`{}`))
	f.Add([]byte(`{"id":"`), []byte(`{"id":"\"`), []byte(`{}`), []byte(`{"id":1},`), []byte(`}`), "\xff", uint8(7), []byte(`{"a":{`), []byte("null"))
	f.Fuzz(func(t *testing.T, user, team, usage, keys, sandboxes []byte, low string, shape uint8, page, patch []byte) {
		row := AccountRow{ID: events.UUID{1}, Position: 1, User: user, Team: team, Usage: usage, Keys: keys, Sandboxes: sandboxes,
			UsageLow: low, UsagePages: int(shape & 1), KeyPages: int(shape >> 1 & 1), SandboxPages: int(shape >> 2 & 1),
			Waiting: int(shape >> 3 & 1)}
		a := LoadAccount(&row)
		found := shape>>4&1 == 0
		for _, m := range everyEvent(t) {
			for range 3 { // at most: first the page, then the patch
				needs, err := a.Lookups(m)
				if err != nil || len(needs) == 0 {
					break
				}
				for _, n := range needs {
					ans := LookupResult{Lookup: n, Found: found}
					if ans.Body = patch; n.Section != 0 {
						ans.Page, ans.Body = "00000000", page
					}
					if n.Section == UsageSection {
						ans.Page = ""
					}
					_ = a.Hydrate(&ans) // it may fail, and must not panic
				}
			}
			if out, err := a.Apply(m); err == nil && out == Parked {
				t.Errorf("%s was parked without a reason", m.Event.Type)
			}
		}
		c, err := a.Flush()
		if err != nil {
			return
		}
		if _, err := LoadAccount(&c.Row).Flush(); err != nil && c.Row.Team == nil {
			t.Errorf("what was stored cannot be loaded: %v", err)
		}
	})
}
