package projections

import "accountexport/events"

// Refold folds an account again from its messages, one after the other. Its row is then
// replaced by the result.
type Refold struct {
	State    *Account
	Parked   []ParkedMessage
	Outcomes map[uint64]Outcome // by position
}

// NewRefold begins before the account's first message.
func NewRefold(account events.UUID) *Refold {
	return &Refold{State: NewAccount(account), Outcomes: map[uint64]Outcome{}}
}

// Apply folds the account's next message.
func (r *Refold) Apply(m Message) error {
	d, err := Decode(m)
	if err != nil {
		return err
	}
	return r.ApplyDecoded(&d)
}

// ApplyDecoded is Apply of a message that was decoded already.
func (r *Refold) ApplyDecoded(d *Decoded) error {
	out, err := r.State.Apply(d)
	if err != nil && out != Parked {
		return err
	}
	if out == Parked {
		r.Parked = append(r.Parked, d.Park(&d.To.Account, err))
	}
	if r.State.wiped {
		r.Parked = Unpark(r.Parked, d.To.Account)
	}
	r.Outcomes[d.Message.Position] = out
	return nil
}

// TierRefold folds a tier again from its messages. The zero value begins before the
// first one.
type TierRefold struct {
	Definition *TierDefinition // the one in force; nil if there is none
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
