package check

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"accountexport/events"
	"accountexport/projections"
)

// History is what the stream holds.
type History interface {
	// ReadAccount calls each with the messages of an account, in stream order; upTo 0
	// stands for all of them.
	ReadAccount(ctx context.Context, account events.UUID, upTo uint64, each func(projections.Message) error) error
}

// Outcomes of a [Verdict], beside those of the fold.
const (
	Sound   = "sound"      // decoded, and nothing says whose it is, so that it cannot be folded
	NotRead = "unreadable" // no event: an object that `projector import` would refuse, or half a dump
)

// Verdict is what would become of one event.
type Verdict struct {
	File     string   `json:"file"`
	Line     int64    `json:"line"`     // that it begins in, from 1
	Position uint64   `json:"position"` // in the stream that it was taken from; 0: unknown
	Subject  string   `json:"subject"`  // as published; empty where nothing says it, and where it is wrong, unless values are asked for
	Type     string   `json:"type"`     // empty where it could not be read; of what is parked a known one alone, unless values are asked for
	Outcome  string   `json:"outcome"`
	Field    string   `json:"field"` // of what is parked
	Found    string   `json:"found"` // its kind alone, unless values are asked for
	Want     string   `json:"want"`
	Reason   string   `json:"reason"` // in one line; empty where it is applied
	Hints    []string `json:"hints"`
}

// Bad tells whether the event should not be published.
func (v *Verdict) Bad() bool { return v.Outcome == projections.Parked.String() || v.Outcome == NotRead }

// Checker checks events in the order in which they would be published. It keeps the
// state of every account that they are of in memory.
type Checker struct {
	Stream  History      // what came before the events; nil: nothing did
	Account *events.UUID // check this account's events alone, and those that name none as its own
	Values  bool         // show what was found in events

	Counts   map[string]int // events by outcome
	Events   int            // that were checked
	Bad      int            // of them, that should not be published
	Others   int            // that were passed over, being of others than Account
	Accounts int            // that events were of
	Tiers    int

	fold     *projections.Fold
	begun    map[string]bool // subjects that events were of
	position uint64
	ids      map[string]place
}

type place struct {
	file string
	line int64
}

// File checks the events of one input. An [InputError] says that it could not be read
// to its end: what came before that is checked and counted.
func (c *Checker) File(ctx context.Context, name string, in io.Reader, each func(Verdict) error) error {
	if c.fold == nil {
		c.fold, c.begun, c.ids, c.Counts = projections.NewFold(), map[string]bool{}, map[string]place{}, map[string]int{}
	}
	r, err := newReader(in)
	if err != nil {
		return inputError(ctx, name, err)
	}
	for n := 0; ; n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		value, line, err := r.next()
		if errors.Is(err, io.EOF) {
			if n == 0 {
				return &InputError{name, ErrNothing}
			}
			return nil
		}
		if err != nil {
			return inputError(ctx, name, err)
		}
		v, ours, err := c.one(ctx, value, place{name, line})
		switch {
		case err != nil:
			return fmt.Errorf("%s:%d: %w", name, line, err)
		case !ours:
			c.Others++
			continue
		}
		c.Events++
		c.Counts[v.Outcome]++
		if v.Bad() {
			c.Bad++
		}
		if err := each(v); err != nil {
			return err
		}
	}
}

// one judges one event. It is not ours where it is another account's than is asked for.
func (c *Checker) one(ctx context.Context, value []byte, at place) (v Verdict, ours bool, err error) {
	v = Verdict{File: at.file, Line: at.line, Hints: []string{}}
	rec, err := recordOf(value)
	if err != nil {
		v.Outcome, v.Reason, v.Hints = NotRead, maskUnread(err, c.Values), append(v.Hints, hintUnread...)
		return v, true, nil
	}
	if c.Account != nil {
		own := events.AccountSubject(*c.Account)
		if rec.nobodys && !rec.tier {
			rec.Subject, rec.nobodys, rec.keyless = own, false, false
		}
		if rec.Subject != own {
			return v, false, nil
		}
	}
	v.Position, v.Subject = rec.position, rec.Subject
	if rec.nobodys {
		rec.Subject = standIn
		if rec.tier {
			rec.Subject = standInTier
		}
	}
	d, err := projections.Decode(projections.Message{Partition: -1, Message: rec.Message})
	if err != nil {
		return v, true, err
	}
	v.Type = d.Event.Type
	if rec.nobodys {
		c.alone(&v, &d)
	} else if err := c.folded(ctx, &v, &d); err != nil {
		return v, true, err
	}
	v.Hints = append(v.Hints, hintsOf(&rec, &d, &v)...)
	if id := rec.EventID(); id != "" {
		if before, again := c.ids[id]; again {
			v.Hints = append(v.Hints, fmt.Sprintf("the id is that of %s:%d, too: JetStream drops the second of two within its window, and `projector import` refuses them", before.file, before.line))
		} else {
			c.ids[id] = at
		}
	}
	if !c.Values {
		v.mask(&d)
	}
	return v, true, nil
}

// These are the subjects of events of which nothing says whose they are.
const (
	standIn     = "controlplane.account.00000000-0000-0000-0000-000000000000"
	standInTier = "controlplane.quota_tier.unknown"
)

// alone judges an event by itself.
func (c *Checker) alone(v *Verdict, d *projections.Decoded) {
	switch {
	case d.Invalid != nil:
		v.park(d.Invalid)
	case d.Event.Data == nil:
		v.Outcome, v.Reason = projections.Ignored.String(), unknownType
	default:
		v.Outcome, v.Reason = Sound, "nothing says whose it is, so it was not held against other events"
	}
}

const unknownType = "this program knows no such type, so it would change nothing"

// folded judges an event after those before it.
func (c *Checker) folded(ctx context.Context, v *Verdict, d *projections.Decoded) error {
	if err := c.begin(ctx, d.To, d.Subject); err != nil {
		return err
	}
	c.position++
	out, reason, err := c.fold.Apply(projections.Message{Position: c.position, Partition: -1, Message: d.Message.Message})
	if err != nil {
		return err
	}
	v.Outcome = out.String()
	switch out {
	case projections.Parked:
		invalid := (*events.Invalid)(nil)
		if errors.As(reason, &invalid) {
			v.park(invalid)
		}
	case projections.Ignored:
		v.Reason = unknownType
		if d.Invalid != nil || d.Event.Data != nil {
			v.Reason = "the account is erased: nothing changes it any more"
		}
	case projections.Duplicate:
		v.Reason = "what it creates is there already, so it would change nothing"
	case projections.Deferred:
		v.Reason = "it would wait for its " + entityOf(d.Event.Type) + ", which is not there yet"
	}
	return nil
}

// begin reads what the stream holds of an account that comes for the first time.
func (c *Checker) begin(ctx context.Context, to events.Subject, subject string) error {
	if to.Kind == events.SubjectUnsound || c.begun[subject] {
		return nil
	}
	c.begun[subject] = true
	if to.Kind == events.SubjectTier {
		c.Tiers++
		return nil // what a tier's events come to depends on no other
	}
	c.Accounts++
	if c.Stream == nil {
		return nil
	}
	return c.Stream.ReadAccount(ctx, to.Account, 0, func(m projections.Message) error {
		c.position = max(c.position, m.Position)
		_, _, err := c.fold.Apply(m)
		return err
	})
}

func (v *Verdict) park(reason *events.Invalid) {
	v.Outcome, v.Field, v.Found, v.Want, v.Reason = projections.Parked.String(), reason.Field, reason.Found, reason.Want, reason.Error()
}

// entityOf is what an event of this type changes.
func entityOf(typ string) string {
	switch kind, _, _ := strings.Cut(strings.TrimPrefix(typ, "controlplane."), "."); kind {
	case "api_key":
		return "API key"
	default:
		return kind
	}
}
