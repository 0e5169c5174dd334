package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"accountexport/events"
	"accountexport/projections"
)

// laneInput is what a lane is handed: messages in stream order, or a partition that
// comes or goes.
type laneInput struct {
	messages   []projections.Message
	upTo       uint64 // every message of the lane's partitions up to here was handed over
	advanceAll bool   // move every partition's checkpoint on to upTo
	assigned   *Checkpoint
	revoked    *int
	asOf       time.Time // with all: the stream held nothing more at this time
}

// lane folds and writes the messages of some partitions: a state cache, a
// batch that grows, and at most one commit under way. It belongs to one
// goroutine.
type lane struct {
	store       Store
	generation  int64
	bound       Bound
	cache       *cache
	checkpoints map[int]*Checkpoint // as committed
	fenced      map[int]Checkpoint  // that were fenced, where they stand, until they come again
	observe     func(*committedBatch)
	linger      func() time.Duration // how long a batch may grow that nothing waits for
	rewind      func([]Checkpoint)   // is told where to read partitions again that were fenced; nil: that ends the session
	released    func(partition int)  // is told what was given up

	groupSize int // messages that are looked up together; see adapt
	seq       uint64
	cur       *batchBuilder
	upTo      uint64
	asOf      time.Time
	inFlight  *inFlightCommit
	done      chan error
}

// inFlightCommit is a commit under way.
type inFlightCommit struct {
	*batchBuilder
	batch *Batch
	start time.Time
}

// committedBatch is what the engine tells of a commit.
type committedBatch struct {
	*batchBuilder
	advances []Advance
	took     time.Duration
}

func newLane(s Store, own Ownership, checkpoints []Checkpoint, bound Bound, cacheBytes int) *lane {
	l := &lane{store: s, generation: own.Generation, bound: bound, cache: newCache(cacheBytes),
		checkpoints: map[int]*Checkpoint{}, fenced: map[int]Checkpoint{}, done: make(chan error, 1), observe: func(*committedBatch) {}, released: func(int) {},
		linger: func() time.Duration { return 0 }, groupSize: initialGroupSize}
	for i, c := range checkpoints {
		l.checkpoints[c.Partition] = &c
		// What one partition has behind it, another may have before it, where
		// they were not in one lane before.
		if i == 0 || c.Position < l.upTo {
			l.upTo = c.Position
		}
	}
	l.begin()
	return l
}

func (l *lane) begin() {
	l.seq++
	l.cur = newBatchBuilder(l.seq)
}

// run folds what comes in and commits it, until in is closed; then it commits
// what is left. A commit goes on while the next batch is folded.
func (l *lane) run(ctx context.Context, in <-chan laneInput) error {
	open := in
	for {
		if !l.cur.empty() && l.inFlight == nil && (l.cur.full(l.bound) || open == nil || l.commitDue(len(in))) {
			if err := l.start(ctx); err != nil {
				return err
			}
		}
		if open == nil && l.cur.empty() && l.inFlight == nil {
			return nil
		}
		next := open
		if l.cur.full(l.bound) {
			next = nil
		}
		select {
		case w, ok := <-next:
			if !ok {
				open = nil
				break
			}
			if err := l.process(ctx, w); err != nil {
				l.drainCommit()
				return err
			}
		case err := <-l.done:
			if err := l.finish(ctx, err); err != nil {
				l.drainCommit()
				return err
			}
		case <-ctx.Done():
			l.drainCommit()
			return ctx.Err()
		}
	}
}

// commitDue tells whether the batch is to be committed though it is not full, where
// so much work waits.
func (l *lane) commitDue(waiting int) bool {
	if d := l.linger(); d > 0 {
		return time.Since(l.cur.began) >= d
	}
	return waiting == 0
}

// drainCommit waits for the commit under way, whatever becomes of it.
func (l *lane) drainCommit() {
	if l.inFlight != nil {
		<-l.done
		l.inFlight = nil
	}
}

// start begins to commit the current batch.
func (l *lane) start(ctx context.Context) error {
	b, err := l.cur.build(l.generation, l.cache)
	if err != nil {
		return err
	}
	b.Advances = l.advances()
	f := &inFlightCommit{batchBuilder: l.cur, batch: b, start: time.Now()}
	l.begin()
	l.launch(ctx, f)
	return nil
}

func (l *lane) launch(ctx context.Context, f *inFlightCommit) {
	l.inFlight = f
	go func() { l.done <- l.store.Commit(ctx, f.batch) }()
}

func (l *lane) advances() []Advance {
	var out []Advance
	for p, c := range l.checkpoints {
		t := l.cur.touched[p]
		if t == nil && !l.cur.advanceAll {
			continue
		}
		a := Advance{Partition: p, From: c.Position, To: max(c.Position, l.upTo), Epoch: c.Epoch, AsOf: l.cur.asOf}
		if l.cur.advanceAll && l.asOf.After(a.AsOf) {
			a.AsOf = l.asOf
		}
		if a.AsOf.Before(c.AsOf) {
			a.AsOf = c.AsOf
		}
		if t != nil {
			a.Tally, a.Last = t.tally, t.last
		}
		out = append(out, a)
	}
	slices.SortFunc(out, func(x, y Advance) int { return x.Partition - y.Partition })
	return out
}

// finish takes note of how the commit under way ended. Another one is under way
// afterwards, without them, where it was for some of the partitions only that it
// was refused.
func (l *lane) finish(ctx context.Context, err error) error {
	f := l.inFlight
	l.inFlight = nil
	if errors.Is(err, ErrFenced) && l.rewind != nil {
		return l.retryWithoutFenced(ctx, f, err)
	}
	if err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	for _, a := range f.batch.Advances {
		c := l.checkpoints[a.Partition]
		c.Position, c.AsOf = a.To, a.AsOf
		if a.Last.Position > 0 {
			c.Last = a.Last
		}
	}
	l.cache.committed(f.seq, f.dirty)
	l.observe(&committedBatch{batchBuilder: f.batchBuilder, advances: f.batch.Advances, took: time.Since(f.start)})
	return nil
}

// commit commits the current batch, after the one under way, and waits.
func (l *lane) commit(ctx context.Context) error {
	if err := l.rotateBatch(ctx); err != nil {
		return err
	}
	return l.awaitCommit(ctx)
}

// awaitCommit waits for the commit under way.
func (l *lane) awaitCommit(ctx context.Context) error {
	for l.inFlight != nil {
		if err := l.finish(ctx, <-l.done); err != nil {
			return err
		}
	}
	return nil
}

// rotateBatch waits for the commit under way, and begins to commit the current
// batch.
func (l *lane) rotateBatch(ctx context.Context) error {
	if err := l.awaitCommit(ctx); err != nil {
		return err
	}
	if l.cur.empty() {
		return nil
	}
	return l.start(ctx)
}

// process does what it is handed.
func (l *lane) process(ctx context.Context, w laneInput) error {
	if w.assigned == nil && w.revoked == nil {
		return l.fold(ctx, w)
	}
	// Up to here all partitions have come equally far.
	if err := l.commit(ctx); err != nil {
		return err
	}
	if w.revoked != nil {
		return l.revoke(ctx, *w.revoked)
	}
	l.assign(*w.assigned)
	return nil
}

// assign takes a partition in. What the others have behind them, it may have
// before it.
func (l *lane) assign(c Checkpoint) {
	if len(l.checkpoints) == 0 || c.Position < l.upTo {
		l.upTo = c.Position
	}
	l.checkpoints[c.Partition] = &c
	delete(l.fenced, c.Partition)
}

// revoke gives a partition up, with all that is in memory of it. What there was to
// write of it is written, or refused since it was touched; that may also happen
// between there and here, and then it is given up in the epoch that it is in
// now. One that somebody else has meanwhile ends the session.
func (l *lane) revoke(ctx context.Context, partition int) error {
	c, away := l.fenced[partition]
	if !away {
		c = *l.checkpoints[partition]
	}
	delete(l.fenced, partition)
	delete(l.checkpoints, partition)
	l.cache.forget(partition)
	for {
		err := l.store.Release(ctx, l.generation, c)
		if err == nil {
			l.released(partition)
			return nil
		}
		if !errors.Is(err, ErrFenced) {
			return err
		}
		now, ownedErr := l.store.Owned(ctx, l.generation, []int{partition})
		if ownedErr != nil || len(now) == 0 || now[0].Epoch <= c.Epoch {
			return errors.Join(err, ownedErr)
		}
		c = now[0]
	}
}

// fold adds the messages to the current batch, and commits it on the way
// whenever it is full.
func (l *lane) fold(ctx context.Context, w laneInput) error {
	for rest := w.messages; len(rest) > 0; {
		some := rest[:min(len(rest), l.groupSize)]
		if err := l.foldGroup(ctx, some); err != nil {
			return err
		}
		l.upTo = max(l.upTo, some[len(some)-1].Position)
		if rest = rest[len(some):]; len(rest) > 0 && l.cur.full(l.bound) {
			if err := l.rotateBatch(ctx); err != nil {
				return err
			}
		}
	}
	l.upTo = max(l.upTo, w.upTo)
	if w.advanceAll && len(l.checkpoints) > 0 {
		l.cur.advanceAll = true
		l.asOf = w.asOf
	}
	return nil
}

// foldGroup folds messages that are looked up together. Those of a partition that
// was fenced come again.
func (l *lane) foldGroup(ctx context.Context, messages []projections.Message) error {
	decoded := make([]projections.Decoded, 0, len(messages))
	for _, m := range messages {
		if l.checkpoints[m.Partition] == nil {
			continue
		}
		d, err := projections.Decode(m)
		if err != nil {
			return err
		}
		decoded = append(decoded, d)
	}
	bytes, err := l.load(ctx, decoded)
	if err != nil {
		return err
	}
	l.adaptGroupSize(len(messages), bytes)
	for i := range decoded {
		if err := l.foldOne(ctx, &decoded[i]); err != nil {
			return err
		}
	}
	l.cur.note(decoded)
	return nil
}

// How many messages are looked up together.
const (
	initialGroupSize = 64 // at first; less where what they need is large
	maxGroupSize     = 2048
)

// adaptGroupSize chooses how many messages are looked up together next, so that what
// the store answers stays within a share of the batch's bound: what a message
// needs can be anything from nothing to an item of a message's largest size.
func (l *lane) adaptGroupSize(messages, bytes int) {
	most := l.bound.Bytes / 8
	switch {
	case bytes > most:
		l.groupSize = max(1, int(float64(messages)*float64(most)/float64(bytes)))
	case messages >= l.groupSize:
		l.groupSize = min(2*l.groupSize, maxGroupSize)
	}
}

func (l *lane) foldOne(ctx context.Context, d *projections.Decoded) error {
	switch d.To.Kind {
	case events.SubjectAccount:
		return l.foldAccount(ctx, d)
	case events.SubjectTier:
		t, out := projections.DefineTier(d)
		if t != nil {
			l.cur.tiers[t.ID] = t
		}
		if out == projections.Parked {
			l.cur.park(d, nil, d.Invalid)
		}
		l.cur.count(&d.Message, d.TypeLabel(), out)
	default:
		l.cur.park(d, nil, d.Invalid)
		l.cur.count(&d.Message, d.TypeLabel(), projections.Parked)
	}
	return nil
}

func (l *lane) foldAccount(ctx context.Context, d *projections.Decoded) error {
	e := l.cache.get(d.To.Account)
	if e == nil {
		return fmt.Errorf("account %s at position %d: %w", d.To.Account, d.Position, projections.ErrNotLoaded)
	}
	label := d.TypeLabel()
	gone := e.Erased()
	if gone {
		label = projections.OtherType
	}
	out, err := e.Apply(d)
	for err != nil && out != projections.Parked && errors.Is(err, projections.ErrNotLoaded) {
		var asked bool
		if asked, _, err = l.lookup(ctx, []*projections.Decoded{d}); err != nil {
			return err
		}
		if !asked {
			return fmt.Errorf("account %s at position %d: %w, and nothing to ask for", d.To.Account, d.Position, projections.ErrNotLoaded)
		}
		out, err = e.Apply(d)
	}
	switch {
	case out == projections.Parked:
		l.cur.park(d, &d.To.Account, err)
	case err != nil:
		return err
	}
	if e.Wiped() {
		l.cur.erase(d.To.Account)
	}
	if !gone {
		l.cur.mark(e, len(d.Data))
	}
	l.cur.count(&d.Message, label, out)
	return nil
}

// load brings the states that the messages need into memory: first the
// accounts, then what their events touch outside the live tails. It tells how
// many bytes that was, about.
func (l *lane) load(ctx context.Context, decoded []projections.Decoded) (bytes int, err error) {
	var missing []events.UUID
	seen := map[events.UUID]bool{}
	for i := range decoded {
		to := &decoded[i].To
		if to.Kind != events.SubjectAccount || seen[to.Account] {
			continue
		}
		seen[to.Account] = true
		if l.cache.get(to.Account) == nil {
			missing = append(missing, to.Account)
		}
	}
	if len(missing) > 0 {
		rows, err := l.store.Load(ctx, l.generation, missing)
		if err != nil {
			return 0, fmt.Errorf("load %d accounts: %w", len(missing), err)
		}
		for i := range rows {
			bytes += l.cache.add(projections.LoadAccount(&rows[i])).size
		}
		for _, id := range missing {
			if l.cache.get(id) == nil {
				l.cache.add(projections.NewAccount(id))
			}
		}
	}
	var partial []*projections.Decoded
	for i := range decoded {
		d := &decoded[i]
		if d.To.Kind == events.SubjectAccount && !l.cache.byID[d.To.Account].Whole() {
			partial = append(partial, d)
		}
	}
	if len(partial) == 0 {
		return bytes, nil
	}
	_, more, err := l.lookup(ctx, partial)
	return bytes + more, err
}

// lookup has the store answer what the messages need; asked tells whether
// anything was needed, and bytes how much it was, about.
func (l *lane) lookup(ctx context.Context, messages []*projections.Decoded) (asked bool, bytes int, err error) {
	var needs []projections.Lookup
	seen := map[projections.Lookup]bool{}
	for _, d := range messages {
		ns, err := l.cache.byID[d.To.Account].Lookups(d)
		if err != nil {
			return false, 0, err
		}
		for _, n := range ns {
			if !seen[n] {
				seen[n] = true
				needs = append(needs, n)
			}
		}
	}
	if len(needs) == 0 {
		return false, 0, nil
	}
	answers, err := l.store.Lookup(ctx, l.generation, needs)
	if err != nil {
		return true, 0, fmt.Errorf("look up %d items: %w", len(needs), err)
	}
	for i := range answers {
		if err := l.cache.byID[answers[i].Account].Hydrate(&answers[i]); err != nil {
			return true, 0, err
		}
		bytes += lookupResultBytes + len(answers[i].Body)
	}
	l.cur.bytes += 2 * bytes // as it was, and as it is to be written
	return true, bytes, nil
}

// lookupResultBytes is about what an answer without a body takes.
const lookupResultBytes = 256
