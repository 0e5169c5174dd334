package projections

import (
	"errors"
	"fmt"
)

// Reasons of [ErrRefused] that concern the generation. Those that concern the
// stream's history are the guard's.
var (
	ErrVersion    = errors.New("the documents were folded by another projection version")
	ErrPartitions = errors.New("the stream has another number of partitions")
)

// CheckPartitions refuses a stream whose number of partitions is not that of
// what was folded from it; 0 folded means not known.
func CheckPartitions(stream string, found, folded int) error {
	if folded == 0 || found == folded {
		return nil
	}
	return fmt.Errorf("%w: stream %s has %d, and the documents were folded with %d. Nothing was changed, and what is there is still served. "+
		"Ways out: restore the stream's subject transform to %d partitions (`nats stream edit`); `projector rebuild`, which loses nothing, "+
		"since a new generation takes the stream's number; there is nothing to accept", ErrPartitions, stream, found, folded, folded)
}
