package acts

import (
	"context"
	"time"

	"accountexport/readmodel"
)

// Signals that the live generation suffers from a rebuild.
const (
	maxLiveLag  = 3 * time.Second // age of the as-of times of the live checkpoints
	deadLiveLag = time.Minute     // from this age on nothing projects, and nothing can suffer
)

// shouldYield tells whether building has to pause. There are two signals: the age of
// the as-of times of the live checkpoints, which is the time from an event to its
// commit; and how much longer than at its best the statement takes that the API reads
// with. Both are measured here, by one goroutine at a time, so nothing has to be
// scraped.
func (r *Rebuilder) shouldYield(ctx context.Context, live int64) bool {
	age, err := readmodel.TimeLag(ctx, r.Pool, live)
	if err != nil {
		return false
	}
	began := time.Now()
	if err := r.exports.Ready(ctx); err != nil {
		return false
	}
	slow := r.readLatency.slow(began, time.Since(began))
	return age > maxLiveLag && age < deadLiveLag || slow
}
