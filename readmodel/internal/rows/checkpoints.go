package rows

import (
	"time"

	"accountexport/projections"
	"accountexport/projections/engine"
	"accountexport/readmodel"
)

// QueueAdvances moves the batch's partitions on. It fails, by [readmodel.AsEngineError]
// as ErrFenced or ErrPaused, where one of them is not at the position and epoch that
// it is said to be moved from, or projecting is paused.
func QueueAdvances(q QueueFunc, b *engine.Batch) {
	n := len(b.Advances)
	partitions, from, to, epochs, asOf := make([]int32, n), make([]int64, n), make([]int64, n), make([]int64, n), make([]time.Time, n)
	lastPositions, lastTimes, lastDigests := make([]*int64, n), make([]*time.Time, n), make([][]byte, n)
	var tallies [5][]int64
	for i, a := range b.Advances {
		partitions[i], from[i], to[i], epochs[i], asOf[i] = int32(a.Partition), int64(a.From), int64(a.To), a.Epoch, a.AsOf
		for j, o := range []projections.Outcome{projections.Applied, projections.Duplicate, projections.Deferred, projections.Ignored, projections.Parked} {
			tallies[j] = append(tallies[j], a.Tally[o])
		}
		if a.Last.Position > 0 {
			position := int64(a.Last.Position)
			lastPositions[i], lastTimes[i], lastDigests[i] = &position, &a.Last.Time, a.Last.Digest[:]
		}
	}
	q(`SELECT export.advance_checkpoints($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`, b.Generation, partitions, from, to,
		epochs, asOf, tallies[0], tallies[1], tallies[2], tallies[3], tallies[4], lastPositions, lastTimes, lastDigests, readmodel.FormatCurrent)
}

// QueueNewEpoch begins a new epoch of a partition: a projector that has anything of it
// in memory fails to commit, and loads anew what is stored.
func QueueNewEpoch(q QueueFunc, generation int64, partition int) {
	q(`UPDATE export.checkpoints SET epoch = epoch + 1 WHERE generation = $1 AND partition = $2`, generation, partition)
}
