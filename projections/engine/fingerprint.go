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

// Fingerprint identifies a message, so that another one at the same position can be
// told from it.
type Fingerprint struct {
	Position uint64    // 0: none
	Time     time.Time // the stream's timestamp; stores keep it to the microsecond
	Digest   [16]byte  // of subject, headers and payload, see FingerprintOf
}

// expectHeaderPrefix is that of the headers by which a publisher states what it
// expects of the stream. They are left out, since a copy of the stream lacks them.
const expectHeaderPrefix = "Nats-Expected-"

// FingerprintOf computes a message's fingerprint.
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

// hashString hashes a text and its length, so that two texts cannot run together.
func hashString(h hash.Hash, text string) {
	h.Write(binary.AppendUvarint(nil, uint64(len(text))))
	h.Write([]byte(text))
}

// lastFingerprint is that of the last message that is known to be committed. The
// lanes' goroutines advance it after each commit; whoever checks the stream reads
// it.
type lastFingerprint struct {
	mu sync.Mutex // guards Fingerprint, held for no longer than it takes to copy it
	Fingerprint
}

// advance replaces it by one further on, and ignores any other.
func (l *lastFingerprint) advance(to Fingerprint) {
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

// CheckLast compares the stream with the last message that was folded of each
// partition. A stream that holds another message in its place has lost its end and
// has grown again since, maybe while no projector ran: the error is [ErrRefused]
// because of [ErrDiverged].
func CheckLast(ctx context.Context, source Source, checkpoints []Checkpoint) error {
	g, ctx := errgroup.WithContext(ctx) // concurrently, since each is a round trip
	for _, c := range checkpoints {
		g.Go(func() error { return c.Last.check(ctx, source) })
	}
	return g.Wait()
}

// check returns [ErrRefused] where the stream holds another message at the
// fingerprint's position: then the stream has lost its end and has grown again
// since. Where the message was purged there is nothing to compare, and no error.
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
