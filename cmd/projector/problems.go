package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"accountexport/internal/findings"
	"accountexport/projections/engine"
	"accountexport/readmodel"
)

// problemLog is an observer that keeps the database's record of problems: what failed
// is put there, and removed once it is over, so that it is known when no projector
// runs any more. It never stops or delays the fold: the observer's methods touch memory
// alone, and a statement that fails is dropped.
//
// When nothing is wrong it sends nothing: that there is something on record it learns
// from the metrics that are read from the database anyhow (readmodel/gauges).
type problemLog struct {
	engine.Observer
	db      readmodel.ProblemDB
	replica string
	log     *slog.Logger
	pause   time.Duration // between two notes

	watching atomic.Bool   // something is on record or about to be: listed and failed are not both empty
	due      chan struct{} // holds a value while there is something to note

	mu       sync.Mutex                // guards the fields below, and is never held over I/O
	failed   map[int]readmodel.Problem // to be noted, unless it is over by then
	listed   []readmodel.Problem       // as they were on record when they were listed last
	reached  map[int]uint64            // since then: by partition, how far a commit has come
	guarded  bool                      // since then: the stream was compared, and not refused
	live     int64                     // since then: the generation that was committed
	complain bool                      // the last statement succeeded, so that a failure is news
}

const (
	noteTimeout = 3 * time.Second // of one statement
	forgotten   = time.Minute     // a problem that was not noted for so long has not come again
	notePause   = time.Second     // between two notes
)

func newProblemLog(next engine.Observer, db readmodel.ProblemDB, replica string, log *slog.Logger) *problemLog {
	return &problemLog{Observer: next, db: db, replica: replica, log: log, pause: notePause, due: make(chan struct{}, 1),
		failed: map[int]readmodel.Problem{}, reached: map[int]uint64{}, complain: true}
}

// Restarted implements [engine.Observer].
func (l *problemLog) Restarted(f engine.Failure) {
	l.Observer.Restarted(f)
	l.mu.Lock()
	defer l.mu.Unlock()
	var away *pgconn.ConnectError
	if errors.As(f.Err, &away) { // then nothing can be noted, and it is not tried
		l.forgetProgress()
		return
	}
	p := readmodel.Problem{Class: readmodel.Failed, Partition: readmodel.NoPartition, Reason: f.Reason, Message: inOwnWords(f), Generation: f.Generation}
	if len(f.Partitions) == 0 {
		l.failed[p.Partition] = p
	}
	for _, at := range f.Partitions {
		p.Partition, p.Position, p.Until, p.EventType = at.Partition, at.First, at.Last, at.Type
		l.failed[p.Partition] = p
	}
	l.forgetProgress()
	l.watching.Store(true)
	select {
	case l.due <- struct{}{}:
	default:
	}
}

// forgetProgress: what was reached before an error says nothing of after it. l.mu is
// locked.
func (l *problemLog) forgetProgress() {
	clear(l.reached)
	l.guarded = false
}

// Committed implements [engine.Observer].
func (l *problemLog) Committed(s engine.BatchStats) {
	l.Observer.Committed(s)
	if !l.watching.Load() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.live = s.Generation
	for _, a := range s.Advances {
		l.reached[a.Partition] = a.To
	}
	for partition, p := range l.failed {
		if p.Replica = l.replica; l.over(p) {
			delete(l.failed, partition)
		}
	}
}

// StreamEnd implements [engine.Observer]: the engine has compared the stream before.
func (l *problemLog) StreamEnd(info engine.StreamInfo) {
	l.Observer.StreamEnd(info)
	if !l.watching.Load() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.guarded = true
}

// run notes what failed, until ctx ends: what is not over after a second. So it sends one
// statement a second at most, and none for what passes at once, as where a replica takes
// over from another one.
func (l *problemLog) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.due:
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(l.pause):
		}
		l.mu.Lock()
		var all []readmodel.Problem
		for _, p := range l.failed {
			all = append(all, p)
		}
		clear(l.failed)
		l.mu.Unlock()
		if len(all) > 0 {
			l.do(ctx, "note", func(ctx context.Context) error { return readmodel.NoteProblems(ctx, l.db, l.replica, all...) })
		}
	}
}

// look lists what is on record, where there is anything. It is called after the metrics
// were read.
func (l *problemLog) look(ctx context.Context, problems int64) {
	var found []readmodel.Problem
	if problems > 0 {
		l.do(ctx, "list", func(ctx context.Context) (err error) {
			found, err = readmodel.ListProblems(ctx, l.db)
			return err
		})
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.listed = found
	l.watching.Store(len(found)+len(l.failed) > 0)
	l.forgetProgress()
}

// settle removes what is over of what was listed. It is called before the metrics are
// read again.
func (l *problemLog) settle(ctx context.Context) {
	l.mu.Lock()
	var over []readmodel.Problem
	for _, p := range l.listed {
		if l.over(p) {
			over = append(over, p)
		}
	}
	l.mu.Unlock()
	if len(over) > 0 {
		l.do(ctx, "remove", func(ctx context.Context) error { return readmodel.ClearProblems(ctx, l.db, over...) })
	}
}

// over tells whether a problem that was listed is over by what this replica has done
// since, without an error of its own. l.mu is locked.
//
// That a checkpoint was written is not enough: a projector that begins again writes
// each once where it is, before it comes to what fails. So it has to have passed that,
// or the problem has to be one that would have been noted again by now. That is also
// what is left of a replica that is gone, and of a partition of a former generation.
func (l *problemLog) over(p readmodel.Problem) bool {
	if len(l.reached) == 0 {
		return false
	}
	if p.Class == readmodel.Refused { // whichever it was: it would have kept this replica from committing
		return l.guarded
	}
	at, committed := l.reached[p.Partition]
	switch {
	case p.Partition == readmodel.NoPartition:
		return p.Replica == l.replica || p.Age > forgotten
	case p.Generation != l.live:
		return true
	case !committed:
		return false
	case p.Until > 0:
		return at >= p.Until || p.Age > forgotten
	case p.Reason == "stalled": // messages wait: there is something to pass
		return at > p.Position || p.Age > forgotten
	}
	return true
}

// refused notes that the program ends, since it refuses to go on. Nobody notes that later,
// so it tries three times, as where a connection was lost, and waits for that for a moment.
func (l *problemLog) refused(ctx context.Context, err error) {
	r, is := findings.RefusalOf(err)
	if !is {
		return
	}
	generation, at := engine.WhereOf(err)
	p := readmodel.Problem{Class: readmodel.Refused, Partition: readmodel.NoPartition, Reason: r.Reason, Generation: generation,
		Message: fmt.Sprintf("exit status %d: %v", r.Exit, r.Err)}
	for i, s := range at {
		if i == 0 || s.First < p.Position {
			p.Position, p.EventType = s.First, s.Type
		}
	}
	for began, try := time.Now(), 0; try < 3 && time.Since(began) < noteTimeout; try++ {
		if l.do(ctx, "note", func(ctx context.Context) error { return readmodel.NoteProblems(ctx, l.db, l.replica, p) }) {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// do runs a statement, and tells whether it succeeded. What it fails with is logged once,
// until one succeeds again.
func (l *problemLog) do(ctx context.Context, what string, statement func(context.Context) error) bool {
	limited, cancel := context.WithTimeout(ctx, noteTimeout)
	defer cancel()
	err := statement(limited)
	l.mu.Lock()
	news := err != nil && l.complain && ctx.Err() == nil
	l.complain = err == nil
	l.mu.Unlock()
	if news {
		l.log.Warn("cannot "+what+" what is on record of problems; projecting goes on", "error", err)
	}
	return err == nil
}
