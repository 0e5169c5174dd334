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

// Fingerprint tells a message from any other that may come to be at its position.
type Fingerprint struct {
	Position uint64    // 0: none
	Time     time.Time // the stream's timestamp; a database keeps microseconds of it
	Digest   [16]byte  // of subject, header and payload
}

// expectHeaderPrefix begins the headers by which a publisher says where it means to
// publish. Copies of a stream leave them out.
const expectHeaderPrefix = "Nats-Expected-"

// FingerprintOf is a message's mark.
func FingerprintOf(m *projections.Message) Fingerprint {
	h := sha256.New()
	hashString(h, m.Subject)
	for _, name := range slices.Sorted(maps.Keys(m.Header)) {
		if strings.HasPrefix(name, expectHeaderPrefix) {
			continue
		}
		hashString(h, name)
		for _, value := range m.Header[name] {
			hashString(h, value)
		}
		hashString(h, "")
	}
	h.Write(m.Data)
	return Fingerprint{m.Position, m.Time, [16]byte(h.Sum(nil))}
}

// hashString adds a text and where it ends.
func hashString(h hash.Hash, text string) {
	h.Write(binary.AppendUvarint(nil, uint64(len(text))))
	h.Write([]byte(text))
}

// lastFingerprint is the last message that is known to be committed.
type lastFingerprint struct {
	mu sync.Mutex
	Fingerprint
}

func (l *lastFingerprint) move(to Fingerprint) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if to.Position > l.Position {
		l.Fingerprint = to
	}
}

func (l *lastFingerprint) get() Fingerprint {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Fingerprint
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
func (m Fingerprint) check(ctx context.Context, source Source) error {
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
		if FingerprintOf(&found).Digest == m.Digest {
			return nil
		}
		what = "holds something else than the one folded did"
	}
	return fmt.Errorf("%w: %w: message %d %s, so the stream has lost its end, and has grown since. Nothing "+
		"was changed, and what is there is still served. Ways out: restore the stream from a backup that reaches the checkpoint; or accept that "+
		"what is missing is lost: `projector rebuild --accept-differences`, which folds what the stream holds now into a new generation", ErrRefused, ErrDiverged, m.Position, what)
}
