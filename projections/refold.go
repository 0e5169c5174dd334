package projections

import "accountexport/events"

// Refold folds an account's messages anew, one after the other; it is what a
// row is replaced with.
type Refold struct {
	State    *Account
	Parked   []ParkedMessage
	Outcomes map[uint64]Outcome // by position
}

// NewRefold begins at an account that was never heard of.
func NewRefold(account events.UUID) *Refold {
	return &Refold{State: NewAccount(account), Outcomes: map[uint64]Outcome{}}
}

// Apply folds the account's next message.
func (r *Refold) Apply(m Message) error {
	d, err := Decode(m)
	if err != nil {
		return err
	}
	out, err := r.State.Apply(&d)
	if err != nil && out != Parked {
		return err
	}
	if out == Parked {
		r.Parked = append(r.Parked, d.Park(&d.To.Account, err))
	}
	if r.State.wiped {
		r.Parked = Unpark(r.Parked, d.To.Account)
	}
	r.Outcomes[m.Position] = out
	return nil
}

// TierRefold folds a tier's messages anew.
type TierRefold struct {
	Definition *TierDefinition // in force; nil where there is none
	Parked     []ParkedMessage
	Outcomes   map[uint64]Outcome // by position
}

// Apply folds the tier's next message.
func (r *TierRefold) Apply(m Message) error {
	d, err := Decode(m)
	if err != nil {
		return err
	}
	t, out := DefineTier(&d)
	if t != nil {
		r.Definition = t
	}
	if out == Parked {
		r.Parked = append(r.Parked, d.Park(nil, d.Invalid))
	}
	if r.Outcomes == nil {
		r.Outcomes = map[uint64]Outcome{}
	}
	r.Outcomes[m.Position] = out
	return nil
}
