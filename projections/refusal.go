package projections

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Reasons of [ErrRefused]. Others are the guard's own.
var (
	ErrVersion    = errors.New("the documents were folded by another projection version")
	ErrPartitions = errors.New("the stream has another number of partitions")
	// ErrBehind is believed once a guard has said it for [Options.Doubt].
	ErrBehind   = errors.New("the stream ends before the checkpoint")
	ErrReplaced = errors.New("the stream holds another message than the one that was folded")
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

// mark is a message by its position and the stream's timestamp.
type mark struct {
	position uint64 // 0: none
	at       time.Time
}

// lastMark is the last message that is known to be committed.
type lastMark struct {
	mu sync.Mutex
	mark
}

func (l *lastMark) move(to mark) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if to.position > l.position {
		l.mark = to
	}
}

func (l *lastMark) get() mark {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mark
}

// check refuses a stream that holds another message in its place: it has lost
// its end and has grown again since. One that was purged says nothing.
func (m mark) check(ctx context.Context, source Source) error {
	if m.position == 0 {
		return nil
	}
	found, ok, err := source.At(ctx, m.position)
	if err != nil {
		return fmt.Errorf("look at message %d: %w: %w", m.position, errRead, err)
	}
	if !ok || found.Equal(m.at) {
		return nil
	}
	return fmt.Errorf("%w: %w: message %d is of %s, and the one folded was of %s, so the stream has lost its end, and has grown since. Nothing "+
		"was changed, and what is there is still served. Three ways out: restore the stream from a backup that reaches the checkpoint; "+
		"`projector rebuild` to fold what the stream holds now into a new generation; or accept that what is missing is lost: "+
		"`projector rebuild --accept-differences`", ErrRefused, ErrReplaced, m.position, found.UTC().Format(time.RFC3339Nano),
		m.at.UTC().Format(time.RFC3339Nano))
}
