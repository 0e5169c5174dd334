package projections

import (
	"bytes"
	"slices"

	"accountexport/events"
)

// Fold folds a whole stream, or one account's part of it, in memory. `projector export`
// and verification use it, and stores are compared with it: its rules are those of
// the engine, without a store.
type Fold struct {
	accounts map[events.UUID]*Account
	tiers    map[string]*TierDefinition
}

// NewFold is a fold of no messages.
func NewFold() *Fold {
	return &Fold{accounts: map[events.UUID]*Account{}, tiers: map[string]*TierDefinition{}}
}

// Apply folds the next message. reason is why it is parked, if it is.
func (f *Fold) Apply(m Message) (out Outcome, reason, err error) {
	d, err := Decode(m)
	if err != nil {
		return out, nil, err
	}
	switch d.To.Kind {
	case events.SubjectAccount:
		a := f.accounts[d.To.Account]
		if a == nil {
			a = NewAccount(d.To.Account)
			f.accounts[d.To.Account] = a
		}
		out, err = a.Apply(&d)
		if out == Parked {
			return out, err, nil
		}
		return out, nil, err
	case events.SubjectTier:
		t, out := DefineTier(&d)
		if t != nil {
			f.tiers[t.ID] = t
		}
		if out == Parked {
			return out, d.Invalid, nil
		}
		return out, nil, nil
	}
	return Parked, d.Invalid, nil
}

// Accounts are the accounts that have had a message, in order of their ids.
func (f *Fold) Accounts() []events.UUID {
	out := make([]events.UUID, 0, len(f.accounts))
	for id := range f.accounts {
		out = append(out, id)
	}
	slices.SortFunc(out, func(a, b events.UUID) int { return bytes.Compare(a[:], b[:]) })
	return out
}

// Account is an account's state, nil where it has had no message.
func (f *Fold) Account(id events.UUID) *Account { return f.accounts[id] }

// Tier is the definition of a tier that is in force, nil where there is none.
func (f *Fold) Tier(id string) *TierDefinition { return f.tiers[id] }

// Tiers are all definitions in force, by id.
func (f *Fold) Tiers() map[string]*TierDefinition { return f.tiers }

// Document is the export of an account that has had a message, or what it is missing.
func (f *Fold) Document(id events.UUID) (doc []byte, missing []string, err error) {
	a := f.accounts[id]
	tier, err := a.Tier()
	if err != nil {
		return nil, nil, err
	}
	var body []byte
	if t := f.tiers[tier]; t != nil {
		body = t.Body
	}
	return a.Document(body)
}
