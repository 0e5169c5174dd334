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

// batchBuilder is a batch while it grows. It belongs to its lane's goroutine, before and
// after build.
type batchBuilder struct {
	seq        uint64
	began      time.Time
	dirty      []*cacheEntry // accounts that changed
	tiers      map[string]*projections.TierDefinition
	parked     []projections.ParkedMessage
	touched    map[int]*partitionCounts // by partition
	events     int                      // messages counted
	bytes      int                      // about what the batch holds in memory
	advanceAll bool                     // move the checkpoint of every partition on, whether or not it is in touched
	asOf       time.Time                // the stream's timestamp of the last message
	trace      BatchTrace               // nil where it is not followed
	asked      bool                     // whether it is to be followed was asked
}

// partitionCounts is what a batch has of one partition's messages.
type partitionCounts struct {
	tally  projections.Tally
	counts map[projections.TypeOutcome]int64
	times  []time.Time // the stream's timestamp of each
	last   Fingerprint // of the last message

	// Of the first message: its position, and its type as metrics have it.
	first     uint64
	firstType string
}

func newBatchBuilder(seq uint64) *batchBuilder {
	return &batchBuilder{seq: seq, began: time.Now(), tiers: map[string]*projections.TierDefinition{}, touched: map[int]*partitionCounts{}}
}

// empty reports whether there is nothing to commit.
func (b *batchBuilder) empty() bool { return b.events == 0 && !b.advanceAll }

// full reports whether the batch has reached a bound.
func (b *batchBuilder) full(bound Bound) bool {
	return b.events >= bound.Events || b.bytes >= bound.Bytes
}

// count adds a message and its outcome.
func (b *batchBuilder) count(m *projections.Message, label string, o projections.Outcome) {
	t := b.touched[m.Partition]
	if t == nil {
		t = &partitionCounts{counts: map[projections.TypeOutcome]int64{}, first: m.Position, firstType: label}
		b.touched[m.Partition] = t
	}
	t.tally[o]++
	t.counts[projections.TypeOutcome{Type: label, Outcome: o}]++
	t.times = append(t.times, m.Time)
	b.events++
	b.asOf = m.Time
}

// drop removes everything that the batch has of a partition.
func (b *batchBuilder) drop(partition int) {
	if t := b.touched[partition]; t != nil {
		b.events -= len(t.times)
		delete(b.touched, partition)
	}
	if b.events == 0 {
		b.bytes = 0 // else an empty batch could count as full
	}
	b.dirty = slices.DeleteFunc(b.dirty, func(e *cacheEntry) bool { return e.Partition() == partition })
	b.parked = slices.DeleteFunc(b.parked, func(m projections.ParkedMessage) bool { return m.Partition == partition })
	maps.DeleteFunc(b.tiers, func(_ string, t *projections.TierDefinition) bool { return t.Partition == partition })
}

// noteLastMessages records the fingerprint of each partition's last message; all of these messages
// have been counted.
func (b *batchBuilder) noteLastMessages(decoded []projections.Decoded) {
	seen := map[int]bool{}
	for i := len(decoded) - 1; i >= 0 && len(seen) < len(b.touched); i-- {
		m := &decoded[i].Message
		if !seen[m.Partition] {
			seen[m.Partition] = true
			b.touched[m.Partition].last = FingerprintOf(m)
		}
	}
}

// park adds a parked message; account is nil where its subject names none.
func (b *batchBuilder) park(d *projections.Decoded, account *events.UUID, reason error) {
	b.parked = append(b.parked, d.Park(account, reason))
	b.bytes += d.Size() + 256
}

// unpark drops the parked messages of an account that was erased.
func (b *batchBuilder) unpark(id events.UUID) { b.parked = projections.Unpark(b.parked, id) }

// markDirty records that a message of so many bytes may have changed the account, and may
// have made it grow by as much.
func (b *batchBuilder) markDirty(e *cacheEntry, bytes int) {
	b.bytes += bytes
	if !e.dirty {
		e.dirty = true
		b.bytes += e.size + 1024 // and the overhead of a row
		b.dirty = append(b.dirty, e)
	}
}

// build makes the batch that is written, without its advances. The accounts count on it
// being stored: where it is not, they have to be dropped from the cache.
func (b *batchBuilder) build(generation int64, c *cache) (*Batch, error) {
	// Pointers are sorted, not the changes, each of which is hundreds of bytes long.
	slices.SortFunc(b.dirty, func(x, y *cacheEntry) int {
		a, b := x.ID(), y.ID()
		return bytes.Compare(a[:], b[:])
	})
	out := &Batch{Generation: generation, Parked: b.parked, Changes: make([]projections.Change, 0, len(b.dirty))}
	for _, e := range b.dirty {
		ch, err := e.Flush()
		if err != nil {
			return nil, fmt.Errorf("flush: %w", err)
		}
		e.dirty, e.inFlight = false, b.seq
		c.resize(e)
		out.Changes = append(out.Changes, ch)
	}
	for _, t := range b.tiers {
		out.Tiers = append(out.Tiers, *t)
	}
	slices.SortFunc(out.Tiers, func(x, y projections.TierDefinition) int { return cmp.Compare(x.ID, y.ID) })
	return out, nil
}
