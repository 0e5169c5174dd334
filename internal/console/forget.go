package console

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"accountexport/events"
	"accountexport/internal/acts"
	"accountexport/readmodel/admin"
)

// forgetErased has the console's memory forget accounts that were erased by somebody else,
// such as by `projector erase` or by the control plane. It is a part of each look, one
// statement where anything is remembered of any account, which reads the ledger by its
// key. So nothing is remembered of an erased account for longer than until the look after
// its erasure is folded, and where the database is away, until it is back.
func (c *Console) forgetErased(ctx context.Context) error {
	remembered := map[events.UUID]bool{}
	c.accounts.histories.named(remembered)
	c.accounts.looks.named(remembered)
	c.jobs.named(remembered)
	if len(remembered) == 0 {
		return nil
	}
	entered, err := admin.LedgerEntered(ctx, c.cfg.Pool, slices.Collect(maps.Keys(remembered)))
	if err != nil {
		return err
	}
	for account, at := range entered {
		c.accounts.histories.forget(account)
		c.accounts.looks.forget(account)
		c.jobs.forgetSince(account, at)
	}
	return nil
}

// named adds the accounts of which a history is kept.
func (s *histories) named(to map[events.UUID]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for account := range s.all {
		to[account] = true
	}
}

// named adds the accounts that somebody has looked at.
func (l *looks) named(to map[events.UUID]bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for k := range l.made {
		if k.account != (events.UUID{}) {
			to[k.account] = true
		}
	}
}

// named adds the accounts that acts are about, or have named. Erasures are left out, which
// stay.
func (s *jobs) named(to map[events.UUID]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, j := range s.all {
		if j.Act != acts.AccountErase {
			for _, account := range j.remembers() {
				to[account] = true
			}
		}
	}
}

// forgetSince is forget, of an account that was erased at a time: what was begun later
// found it erased, and stays.
func (s *jobs) forgetSince(account events.UUID, at time.Time) {
	s.forgetThose(account, func(j *job) bool { return !j.Began.After(at) && slices.Contains(j.remembers(), account) })
}

// accountID takes an account's id out of a text.
var accountID = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

// accounts are those that an act is about, or that its page names. mu of jobs is held.
func (j *job) accounts() []events.UUID {
	over := j.over()
	if over && j.found != nil {
		return j.found
	}
	found := []events.UUID{}
	if j.about != nil {
		found = append(found, *j.about)
	}
	v := j.view()
	b, err := json.Marshal(v)
	if err != nil {
		b = fmt.Appendf(nil, "%v", v) // never happens
	}
	for _, text := range accountID.FindAllString(strings.ToLower(string(b)), -1) {
		if id, err := events.ParseUUID(text); err == nil {
			found = append(found, id)
		}
	}
	slices.SortFunc(found, func(a, b events.UUID) int { return slices.Compare(a[:], b[:]) })
	found = slices.Compact(found)
	if over {
		j.found = found
	}
	return found
}

// remembers are all accounts that an act holds anything of. mu of jobs is held.
func (j *job) remembers() []events.UUID { return slices.Concat(j.accounts(), j.undoes()) }

// undoes are the accounts whose messages an act has changed, and can be undone of.
func (j *job) undoes() (all []events.UUID) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if r, ok := j.result.(*parkedResult); ok {
		for _, m := range r.changed.Messages {
			if m.Account != nil {
				all = append(all, *m.Account)
			}
		}
	}
	return all
}

// dropMessages has an act undo nothing of accounts that were erased: their messages are
// gone. What it has changed of others can be undone still.
func (j *job) dropMessages(erased []events.UUID) {
	j.mu.Lock()
	defer j.mu.Unlock()
	r, ok := j.result.(*parkedResult)
	if !ok {
		return
	}
	left := *r
	left.changed.Messages = nil
	for _, m := range r.changed.Messages {
		if m.Account == nil || !slices.Contains(erased, *m.Account) {
			left.changed.Messages = append(left.changed.Messages, m)
		}
	}
	switch n := len(left.changed.Messages); n {
	case len(r.changed.Messages):
	case 0:
		j.result = nil
	default:
		words, _ := parkedWordsOf(strings.TrimPrefix(r.Undo, "parked-"))
		left.Count, left.Label = n, words.button(int64(n))
		j.result = &left
	}
}
