package stream

import (
	"errors"
	"fmt"
	"time"

	"accountexport/projections"
)

// Ways in which a stream can have lost what was folded from it.
var (
	ErrRecreated   = errors.New("the stream was recreated")
	ErrBehind      = errors.New("the stream ends before the checkpoint")
	ErrHistoryLost = errors.New("the stream begins after the checkpoint")
)

const waysOut = "Nothing was changed, and what is there is still served. Three ways out: restore the stream from a backup; " +
	"`projector rebuild` to fold what the stream holds now into a new generation; or, to keep documents that the stream " +
	"can no longer account for, accept it by pointing STREAM and DATABASE_URL at a pair that belongs together"

// Guard holds a stream against the checkpoints of what was folded from it; it
// is a [projections.Guard]. A new generation, with nothing folded yet, accepts
// any beginning; gaps inside are normal, since erasures purge messages.
func Guard(info projections.StreamInfo, have projections.StreamIdentity, lowest, highest uint64) error {
	switch {
	case highest == 0:
		return nil
	case info.Name != have.Name || !info.Created.Truncate(time.Microsecond).Equal(have.Created.Truncate(time.Microsecond)):
		return fmt.Errorf("%w: it is %s, created %s, and the documents were folded from %s, created %s. %s", ErrRecreated,
			info.Name, info.Created.UTC().Format(time.RFC3339Nano), have.Name, have.Created.UTC().Format(time.RFC3339Nano), waysOut)
	case info.Last < highest:
		return fmt.Errorf("%w: stream %s ends at %d, and the checkpoint is %d. %s", ErrBehind, info.Name, info.Last, highest, waysOut)
	case lowest > 0 && info.First > lowest+1:
		return fmt.Errorf("%w: stream %s begins at %d, and the checkpoint is %d. %s", ErrHistoryLost, info.Name, info.First, lowest, waysOut)
	}
	return nil
}
