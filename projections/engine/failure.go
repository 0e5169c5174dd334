package engine

import (
	"errors"
	"maps"
	"slices"

	"accountexport/projections"
)

// Failure is an error that made the projector begin again at its checkpoints.
type Failure struct {
	Reason     string // "fenced", "stalled", "source" or "store"
	Err        error
	Generation int64      // 0: it came before anything was acquired
	Partitions []Standing // those that it concerns; empty: of no one partition
}

// Standing is where a partition stood when an error came.
type Standing struct {
	Partition int
	// The message that failed is one of those from First to Last. Where Last is 0,
	// First is the checkpoint, and which message it was is not known.
	First, Last uint64
	Type        string // of the message at First, as metrics have it; empty: not known
}

// WhereOf is the generation whose projecting an error of [Projector.Run] has ended, and
// where the partitions stood that it concerns; 0 and nil where it came before anything
// was acquired.
func WhereOf(err error) (generation int64, partitions []Standing) {
	var placed *placedError
	if !errors.As(err, &placed) {
		return 0, nil
	}
	return placed.generation, placed.partitions
}

// placedError is an error with where the partitions stood that it concerns. It reads as
// the error that it wraps.
type placedError struct {
	error
	generation int64
	partitions []Standing
}

func (e *placedError) Unwrap() error { return e.error }

// place adds to an error where the partitions stood. The first place that is known of an
// error is the closest, and stays.
func place(err error, generation int64, partitions []Standing) error {
	var placed *placedError
	if err == nil || errors.As(err, &placed) {
		return err
	}
	slices.SortFunc(partitions, func(a, b Standing) int { return a.Partition - b.Partition })
	return &placedError{err, generation, partitions}
}

// failureOf is the failure that an error is.
func failureOf(err error) Failure {
	generation, partitions := WhereOf(err)
	return Failure{Reason: restartReason(err), Err: err, Generation: generation, Partitions: partitions}
}

// place adds to an error of the session where each of its partitions stands. No lane may
// be running.
func (s *session) place(err error) error {
	var all []Standing
	for _, l := range s.lanes {
		all = append(all, l.standings()...)
	}
	return place(err, s.own.Generation, all)
}

// standings are the checkpoints of the lane's partitions.
func (l *lane) standings() []Standing {
	var all []Standing
	for p, c := range l.checkpoints {
		all = append(all, Standing{Partition: p, First: c.Position})
	}
	for p, c := range l.fenced {
		all = append(all, Standing{Partition: p, First: c.Position})
	}
	return all
}

// placeBatch adds to an error of a commit which messages the batch has of each
// partition; of a batch without messages, where the lane's partitions stand.
func (l *lane) placeBatch(err error, b *batchBuilder) error {
	at := make([]Standing, 0, len(b.touched))
	for p, t := range b.touched {
		at = append(at, Standing{Partition: p, First: t.first, Last: t.last.Position, Type: t.firstType})
	}
	if len(at) == 0 {
		at = l.standings()
	}
	return place(err, l.generation, at)
}

// placeMessages adds to an error of a lookup which messages it was for.
func (l *lane) placeMessages(err error, decoded []projections.Decoded) error {
	at := map[int]Standing{}
	for i := range decoded {
		d := &decoded[i]
		s, there := at[d.Partition]
		if !there {
			s = Standing{Partition: d.Partition, First: d.Position, Type: d.TypeLabel()}
		}
		s.Last = d.Position
		at[d.Partition] = s
	}
	return place(err, l.generation, slices.Collect(maps.Values(at)))
}
