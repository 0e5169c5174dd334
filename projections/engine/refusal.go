package engine

import (
	"errors"
	"fmt"
)

// Reasons of [ErrRefused]. Others are the guard's own.
var (
	ErrVersion    = errors.New("the documents were folded by another projection version")
	ErrPartitions = errors.New("the stream has another number of partitions")
	// ErrStreamBehind is believed once a guard has said it for [Options.StreamBehindTimeout].
	ErrStreamBehind = errors.New("the stream ends before the checkpoint")
	// ErrUnverified is no refusal: a guard has not come to a judgement. Nothing is
	// folded meanwhile, and it is asked again.
	ErrUnverified = errors.New("the stream is not judged yet")
	ErrDiverged   = errors.New("the stream holds another message than the one that was folded")
)

// CheckPartitions refuses a stream whose number of partitions is not that of
// what was folded from it; 0 folded means not known.
func CheckPartitions(stream string, found, folded int) error {
	if folded == 0 || found == folded {
		return nil
	}
	return fmt.Errorf("%w: stream %s has %d, and the documents were folded with %d. Nothing was changed, and what is there is still served. "+
		"Ways out: restore the stream's subject transform to %d partitions (`nats stream edit`); or `projector rebuild`, which loses nothing, "+
		"since a new generation takes the stream's number; there is nothing to accept", ErrPartitions, stream, found, folded, folded)
}
