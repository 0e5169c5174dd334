package projections

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"time"

	"accountexport/events"
)

// TypeOutcome is what messages are counted by.
type TypeOutcome struct {
	Type    string // without the controlplane. prefix, or "other"
	Outcome Outcome
}

// pending is a batch while it is folded: all that is to be committed at once.
type pending struct {
	seq     uint64
	began   time.Time
	dirty   []*cached
	tiers   map[string]*TierDefinition
	parked  []ParkedMessage
	touched map[int]*Tally // by partition
	counts  map[TypeOutcome]int64
	times   []time.Time  // the stream's timestamp of each event
	bytes   int          // about what is held for it
	all     bool         // move the checkpoint of every partition on, touched or not
	asOf    time.Time    // the stream's timestamp of the last message
	last    map[int]Mark // the last message, by partition
}

func newPending(seq uint64) *pending {
	return &pending{seq: seq, began: time.Now(), tiers: map[string]*TierDefinition{}, touched: map[int]*Tally{}, counts: map[TypeOutcome]int64{},
		last: map[int]Mark{}}
}

func (p *pending) empty() bool { return len(p.times) == 0 && !p.all }

func (p *pending) full(b Bound) bool { return len(p.times) >= b.Events || p.bytes >= b.Bytes }

// count notes a message's outcome.
func (p *pending) count(m *Message, label string, o Outcome) {
	t := p.touched[m.Partition]
	if t == nil {
		t = new(Tally)
		p.touched[m.Partition] = t
	}
	t[o]++
	p.counts[TypeOutcome{label, o}]++
	p.times = append(p.times, m.Time)
	p.asOf = m.Time
}

// note notes the last message of each partition, of messages that were counted.
func (p *pending) note(decoded []Decoded) {
	seen := map[int]bool{}
	for i := len(decoded) - 1; i >= 0 && len(seen) < len(p.touched); i-- {
		m := &decoded[i].Message
		if !seen[m.Partition] {
			seen[m.Partition] = true
			p.last[m.Partition] = MarkOf(m)
		}
	}
}

// park records a message; account is nil where its subject names none.
func (p *pending) park(d *Decoded, account *events.UUID, reason error) {
	p.parked = append(p.parked, ParkedMessage{Position: d.Position, Partition: d.Partition, Account: account,
		Time: d.Time, Subject: d.Subject, Type: d.Event.Type, Reason: reason.Error(), Header: d.Header, Payload: d.Data})
	p.bytes += d.Size() + 256
}

// erase forgets what was to be parked of the account.
func (p *pending) erase(id events.UUID) {
	p.parked = slices.DeleteFunc(p.parked, func(m ParkedMessage) bool { return m.Account != nil && *m.Account == id })
}

// mark notes that a message of so many bytes may have changed the account, and
// may have made it grow as much.
func (p *pending) mark(e *cached, bytes int) {
	p.bytes += bytes
	if !e.dirty {
		e.dirty = true
		p.bytes += e.size + 1024 // and what goes with each row
		p.dirty = append(p.dirty, e)
	}
}

// batch turns what was folded into what is to be written.
func (p *pending) batch(generation int64, c *cache) (*Batch, error) {
	b := &Batch{Generation: generation, Parked: p.parked, Changes: make([]Change, 0, len(p.dirty))}
	for _, e := range p.dirty {
		ch, err := e.Flush()
		if err != nil {
			return nil, fmt.Errorf("flush: %w", err)
		}
		e.dirty, e.inFlight = false, p.seq
		c.resize(e)
		b.Changes = append(b.Changes, ch)
	}
	slices.SortFunc(b.Changes, func(x, y Change) int { return bytes.Compare(x.Row.ID[:], y.Row.ID[:]) })
	for _, t := range p.tiers {
		b.Tiers = append(b.Tiers, *t)
	}
	slices.SortFunc(b.Tiers, func(x, y TierDefinition) int { return cmp.Compare(x.ID, y.ID) })
	return b, nil
}
