package acts

import (
	"context"
	"log/slog"

	"accountexport/projections"
	"accountexport/projections/engine"
)

// spool is the stream as passes read it: what one pass reads and only a later one folds
// is kept in files for that one, so that the stream is read once and not once a pass.
// Where the files may not grow any further, the later pass reads the stream from there
// on, and keeps in turn what is left for those after it.
//
// No pass reads what lies before its own checkpoints, not even for later ones: a rebuild
// that was cut off, or fenced by an erasure, would have to read all of that again before
// it comes any further, and where erasures come faster than that it never would.
//
// The stream is read unfiltered, so whatever stands between it and the spool sees every
// position, and tells a message that is skipped from one that was removed.
//
// What is kept may be folded only while nobody else has moved an epoch on, as an erasure
// does with whatever may have been read ahead. Open asks that, and is called once the
// pass has acquired its partitions: an epoch that is moved on later refuses its commits.
//
// The passes come one after the other, and so do their readers.
type spool struct {
	engine.Source
	identity  engine.StreamIdentity
	log       *slog.Logger
	disturbed func() int64                      // goes up when somebody else has moved an epoch on
	throttle  func(engine.Reader) engine.Reader // of what is read back

	passOf map[int]int // the pass of each partition
	starts []uint64    // the lowest checkpoint of each pass
	pass   int         // the one that reads now
	files  []*spoolFile
	room   int64 // bytes that the files may still take
	full   bool  // they had no room left, in this pass
	given  bool  // up: nothing is kept any more

	// The files of later passes, of those that do not start before from, hold what their
	// partitions have after it, up to and including covered; last is the message at covered.
	from, covered uint64
	last          projections.Message
	seen          int64 // disturbed() when the first pass began; -1 before
	read          uint64
}

// newSpool makes one for passes over these partitions. starts has the lowest checkpoint
// of each pass.
func newSpool(source engine.Source, identity engine.StreamIdentity, passes [][]int, starts []uint64, room int64, log *slog.Logger) *spool {
	s := &spool{Source: source, identity: identity, log: log, disturbed: func() int64 { return 0 }, throttle: func(r engine.Reader) engine.Reader { return r },
		passOf: map[int]int{}, starts: starts, files: make([]*spoolFile, len(passes)), room: room, from: starts[0], covered: starts[0], seen: -1, given: room <= 0}
	for i, partitions := range passes {
		for _, p := range partitions {
			s.passOf[p] = i
		}
	}
	return s
}

// giveUp removes the files: passes read the stream from then on.
func (s *spool) giveUp() {
	s.given = true
	for i := range s.files {
		s.drop(i)
	}
}

func (s *spool) drop(pass int) {
	if f := s.files[pass]; f != nil {
		s.room += f.size
		f.close()
		s.files[pass] = nil
	}
}

// Open implements [engine.Source] for the pass that reads now.
func (s *spool) Open(ctx context.Context, after uint64) (engine.Reader, error) {
	switch now := s.disturbed(); {
	case s.seen < 0:
		s.seen = now
	case s.seen != now && !s.given:
		s.log.Info("an erasure or a refold has come between: what was kept for later passes is read from the stream again")
		s.giveUp()
	}
	for pass := range s.pass { // theirs are folded
		s.drop(pass)
	}
	if s.pass > 0 && after < s.from && !s.given { // what was kept begins too late for this pass
		for i := range s.files {
			s.drop(i)
		}
		s.from, s.covered = after, after
	}
	s.full = false
	r := &spoolReader{spool: s, after: after, at: after}
	if f := s.files[s.pass]; f != nil {
		kept, err := f.read()
		if err != nil {
			s.log.Warn("what was kept for this pass is read from the stream again", "error", err)
			s.giveUp()
		} else if after < s.covered {
			r.kept, r.at, r.marker = s.throttle(kept), s.covered, s.last
		}
	}
	if r.kept == nil {
		if !s.given && s.pass == 0 {
			r.at = min(after, s.covered)
		}
		if err := r.openStream(ctx); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// keep takes a message that was read from the stream, and tells whether the pass that
// reads now needs it.
func (s *spool) keep(m *projections.Message) (own bool) {
	pass, known := s.passOf[s.identity.PartitionOf(m)]
	own = known && pass == s.pass
	if s.given || s.full || m.Position <= s.covered {
		return own
	}
	if known && pass > s.pass && s.starts[pass] >= s.from {
		size := int64(m.Size())
		if s.full = s.room < size; s.full {
			return own
		}
		if err := s.add(pass, m); err != nil {
			s.log.Warn("passes read the stream again, since it cannot be kept", "error", err)
			s.giveUp()
			return own
		}
	}
	s.covered, s.last = m.Position, *m
	return own
}

func (s *spool) add(pass int, m *projections.Message) (err error) {
	f := s.files[pass]
	if f == nil {
		if f, err = newSpoolFile(); err != nil {
			return err
		}
		s.files[pass] = f
	}
	before := f.size
	err = f.add(m)
	s.room -= f.size - before
	return err
}
