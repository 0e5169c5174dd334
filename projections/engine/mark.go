package engine

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"accountexport/projections"
)

// Mark tells a message from any other that may come to be at its position.
type Mark struct {
	Position uint64    // 0: none
	Time     time.Time // the stream's timestamp; a database keeps microseconds of it
	Digest   [16]byte  // of subject, header and payload
}

// forTheServer begins the headers by which a publisher says where it means to
// publish. Copies of a stream leave them out.
const forTheServer = "Nats-Expected-"

// MarkOf is a message's mark.
func MarkOf(m *projections.Message) Mark {
	h := sha256.New()
	add(h, m.Subject)
	for _, name := range slices.Sorted(maps.Keys(m.Header)) {
		if strings.HasPrefix(name, forTheServer) {
			continue
		}
		add(h, name)
		for _, value := range m.Header[name] {
			add(h, value)
		}
		add(h, "")
	}
	h.Write(m.Data)
	return Mark{m.Position, m.Time, [16]byte(h.Sum(nil))}
}

// add adds a text and where it ends.
func add(h hash.Hash, text string) {
	h.Write(binary.AppendUvarint(nil, uint64(len(text))))
	h.Write([]byte(text))
}

// lastMark is the last message that is known to be committed.
type lastMark struct {
	mu sync.Mutex
	Mark
}

func (l *lastMark) move(to Mark) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if to.Position > l.Position {
		l.Mark = to
	}
}

func (l *lastMark) get() Mark {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Mark
}

// CheckLast refuses a stream that holds another message where the last one that
// was folded of a partition was: it has lost its end, and has grown again since,
// maybe while nobody looked.
func CheckLast(ctx context.Context, source Source, checkpoints []Checkpoint) error {
	g, ctx := errgroup.WithContext(ctx) // at once: the server may be far
	for _, c := range checkpoints {
		g.Go(func() error { return c.Last.check(ctx, source) })
	}
	return g.Wait()
}

// check refuses a stream that holds another message in its place: it has lost
// its end and has grown again since. One that was purged says nothing.
func (m Mark) check(ctx context.Context, source Source) error {
	if m.Position == 0 {
		return nil
	}
	found, ok, err := source.At(ctx, m.Position)
	if err != nil {
		return fmt.Errorf("look at message %d: %w: %w", m.Position, errRead, err)
	}
	if !ok {
		return nil
	}
	now, was := found.Time.UTC().Truncate(time.Microsecond), m.Time.UTC().Truncate(time.Microsecond)
	what := fmt.Sprintf("is of %s, and the one folded was of %s", now.Format(time.RFC3339Nano), was.Format(time.RFC3339Nano))
	if now.Equal(was) {
		if MarkOf(&found).Digest == m.Digest {
			return nil
		}
		what = "holds something else than the one folded did"
	}
	return fmt.Errorf("%w: %w: message %d %s, so the stream has lost its end, and has grown since. Nothing "+
		"was changed, and what is there is still served. Ways out: restore the stream from a backup that reaches the checkpoint; or accept that "+
		"what is missing is lost: `projector rebuild --accept-differences`, which folds what the stream holds now into a new generation", ErrRefused, ErrReplaced, m.Position, what)
}
