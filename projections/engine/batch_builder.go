package engine

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"accountexport/events"
	"accountexport/projections"
)

// batchBuilder is a batch while it is folded: all that is to be committed at once.
type batchBuilder struct {
	seq        uint64
	began      time.Time
	dirty      []*cacheEntry
	tiers      map[string]*projections.TierDefinition
	parked     []projections.ParkedMessage
	touched    map[int]*counted // by partition
	events     int              // messages counted
	bytes      int              // about what is held for it
	advanceAll bool             // move the checkpoint of every partition on, touched or not
	asOf       time.Time        // the stream's timestamp of the last message
}

// counted is what a batch has of one partition's messages.
type counted struct {
	tally  projections.Tally
	counts map[projections.TypeOutcome]int64
	times  []time.Time // the stream's timestamp of each
	last   Fingerprint // of the last one
}

func newBatchBuilder(seq uint64) *batchBuilder {
	return &batchBuilder{seq: seq, began: time.Now(), tiers: map[string]*projections.TierDefinition{}, touched: map[int]*counted{}}
}

func (p *batchBuilder) empty() bool { return p.events == 0 && !p.advanceAll }

func (p *batchBuilder) full(b Bound) bool { return p.events >= b.Events || p.bytes >= b.Bytes }

// count notes a message's outcome.
func (p *batchBuilder) count(m *projections.Message, label string, o projections.Outcome) {
	t := p.touched[m.Partition]
	if t == nil {
		t = &counted{counts: map[projections.TypeOutcome]int64{}}
		p.touched[m.Partition] = t
	}
	t.tally[o]++
	t.counts[projections.TypeOutcome{Type: label, Outcome: o}]++
	t.times = append(t.times, m.Time)
	p.events++
	p.asOf = m.Time
}

// drop takes out all there is of a partition.
func (p *batchBuilder) drop(partition int) {
	if t := p.touched[partition]; t != nil {
		p.events -= len(t.times)
		delete(p.touched, partition)
	}
	if p.events == 0 {
		p.bytes = 0 // so that there is room for what comes
	}
	p.dirty = slices.DeleteFunc(p.dirty, func(e *cacheEntry) bool { return e.Partition() == partition })
	p.parked = slices.DeleteFunc(p.parked, func(m projections.ParkedMessage) bool { return m.Partition == partition })
	maps.DeleteFunc(p.tiers, func(_ string, t *projections.TierDefinition) bool { return t.Partition == partition })
}

// note notes the last message of each partition, of messages that were counted.
func (p *batchBuilder) note(decoded []projections.Decoded) {
	seen := map[int]bool{}
	for i := len(decoded) - 1; i >= 0 && len(seen) < len(p.touched); i-- {
		m := &decoded[i].Message
		if !seen[m.Partition] {
			seen[m.Partition] = true
			p.touched[m.Partition].last = FingerprintOf(m)
		}
	}
}

// park records a message; account is nil where its subject names none.
func (p *batchBuilder) park(d *projections.Decoded, account *events.UUID, reason error) {
	p.parked = append(p.parked, d.Park(account, reason))
	p.bytes += d.Size() + 256
}

// erase forgets what was to be parked of the account.
func (p *batchBuilder) erase(id events.UUID) { p.parked = projections.Unpark(p.parked, id) }

// mark notes that a message of so many bytes may have changed the account, and
// may have made it grow as much.
func (p *batchBuilder) mark(e *cacheEntry, bytes int) {
	p.bytes += bytes
	if !e.dirty {
		e.dirty = true
		p.bytes += e.size + 1024 // and what goes with each row
		p.dirty = append(p.dirty, e)
	}
}

// build turns what was folded into what is to be written.
func (p *batchBuilder) build(generation int64, c *cache) (*Batch, error) {
	b := &Batch{Generation: generation, Parked: p.parked, Changes: make([]projections.Change, 0, len(p.dirty))}
	for _, e := range p.dirty {
		ch, err := e.Flush()
		if err != nil {
			return nil, fmt.Errorf("flush: %w", err)
		}
		e.dirty, e.inFlight = false, p.seq
		c.resize(e)
		b.Changes = append(b.Changes, ch)
	}
	slices.SortFunc(b.Changes, func(x, y projections.Change) int { return bytes.Compare(x.Row.ID[:], y.Row.ID[:]) })
	for _, t := range p.tiers {
		b.Tiers = append(b.Tiers, *t)
	}
	slices.SortFunc(b.Tiers, func(x, y projections.TierDefinition) int { return cmp.Compare(x.ID, y.ID) })
	return b, nil
}
