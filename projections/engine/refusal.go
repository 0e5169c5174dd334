package engine

import (
	"errors"
	"fmt"
)

// ErrRefused means that the projector must not go on by itself: the stream is
// not the one that the generation was folded from, or the generation is not
// this program's. The documents are untouched.
var ErrRefused = errors.New("refused")

// Reasons of [ErrRefused]. A [Guard] may return others of its own.
var (
	// ErrVersion means that the generation has another projection version.
	ErrVersion = errors.New("the documents were folded by another projection version")
	// ErrPartitions means that messages would go to other partitions than before.
	ErrPartitions = errors.New("the stream has another number of partitions")
	// ErrStreamBehind is believed once a guard has returned it for
	// [Options.StreamBehindTimeout].
	ErrStreamBehind = errors.New("the stream ends before the checkpoint")
	// ErrUnverified is not a refusal: a guard has no verdict yet. Nothing is folded
	// meanwhile, and the guard is asked again.
	ErrUnverified = errors.New("the stream is not judged yet")
	// ErrDiverged means that the stream lost its end and has grown again since.
	ErrDiverged = errors.New("the stream holds another message than the one that was folded")
)

// CheckPartitions returns [ErrPartitions] where a stream's number of partitions is
// not the number that its generation was folded with; folded 0 means unknown, and
// is accepted.
func CheckPartitions(stream string, found, folded int) error {
	if folded == 0 || found == folded {
		return nil
	}
	return fmt.Errorf("%w: stream %s has %d, and the documents were folded with %d. Nothing was changed, and what is there is still served. "+
		"Ways out: restore the stream's subject transform to %d partitions (`nats stream edit`); or `projector rebuild`, which loses nothing, "+
		"since a new generation takes the stream's number; there is nothing to accept", ErrPartitions, stream, found, folded, folded)
}
