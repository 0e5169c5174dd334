package projections

import (
	"bytes"
	"slices"

	"accountexport/events"
)

// Fold folds a whole stream, or one account's part of it, in memory. It is
// what `projector export` and verification use, and what a store is compared
// with: the rules are those of the engine, without a store.
type Fold struct {
	accounts map[events.UUID]*Account
	tiers    map[string]*TierDefinition
}

// NewFold is a fold of nothing yet.
func NewFold() *Fold {
	return &Fold{accounts: map[events.UUID]*Account{}, tiers: map[string]*TierDefinition{}}
}

// Apply folds the next message. reason says why it is parked.
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

// Accounts lists the accounts heard of.
func (f *Fold) Accounts() []events.UUID {
	out := make([]events.UUID, 0, len(f.accounts))
	for id := range f.accounts {
		out = append(out, id)
	}
	slices.SortFunc(out, func(a, b events.UUID) int { return bytes.Compare(a[:], b[:]) })
	return out
}

// Account is the account's state, nil where it was never heard of.
func (f *Fold) Account(id events.UUID) *Account { return f.accounts[id] }

// Tier is a tier's definition in force, nil where it is not defined.
func (f *Fold) Tier(id string) *TierDefinition { return f.tiers[id] }

// Tiers are all definitions in force, by id.
func (f *Fold) Tiers() map[string]*TierDefinition { return f.tiers }

// Document is the account's export, or what it lacks.
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
