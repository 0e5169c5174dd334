package console

import (
	"context"
	"fmt"

	"accountexport/events"
	"accountexport/projections"
	"accountexport/projections/engine"
)

// historyBounds are those of one account's history. What is beyond them is not shown, and
// the page says so.
type historyBounds struct {
	memory int   // bytes of the account's state, of where entries are, and of the first of them
	file   int64 // bytes of all entries
}

// defaultBounds are some hundred thousand messages.
var defaultBounds = historyBounds{memory: 32 << 20, file: 512 << 20}

// stateEvery is after how many messages the account's state is measured anew, which takes
// a moment for each page of its sections. Between two, it grows by a few megabytes at most.
const stateEvery = 64

// refBytes is about how many bytes an entryRef takes, with the room that a slice has left.
const refBytes = 64

// accountStream is what a history is read from.
type accountStream interface {
	Info(ctx context.Context) (engine.StreamInfo, error)
	At(ctx context.Context, position uint64) (m projections.Message, found bool, err error)
	ReadAccountAfter(ctx context.Context, account events.UUID, after, upTo uint64, each func(projections.Message) error) error
}

// history is what the messages of one account did to it, as it may be shown: every value
// in it is masked and cut already. Whoever uses it has its lock (see [histories]).
//
// It is held against the stream at every use. It goes on from where it was where the
// stream has only grown; where messages have been removed, another stream is in its place,
// or this one has lost its end and has grown again since, as one that was restored from a
// backup has, it is read anew; and where the account is erased, nothing of it stays but the
// erasure. So it never shows what the stream had lost when it was asked.
type history struct {
	account events.UUID
	privacy Privacy
	bounds  historyBounds

	stream engine.StreamInfo // that was read, as it was before what was new was read

	begun    bool
	fold     *projections.History // nil once it is full
	state    int                  // bytes that fold took when they were last added up
	types    []string
	typeAt   map[string]uint32
	entries  []entryRef
	entry    []byte // the one being encoded, to be used again
	kept     entryStore
	read     uint64             // position of the last message that was read
	last     engine.Fingerprint // of that message
	erasedAt uint64             // position of the message that has erased the account; 0: none has. Later ones are left out
	full     bool               // it is beyond its bounds: later messages are read only to see whether one erases the account
	left     int                // how many messages were left out for that
}

// entryRef is where an entry is kept, and what it is filtered by.
type entryRef struct {
	position uint64
	at       int64
	size     uint32
	kind     uint32 // index of its type
	outcome  string
}

// clear forgets everything, and gives back the file.
func (h *history) clear() {
	h.kept.close()
	*h = history{account: h.account, privacy: h.privacy, bounds: h.bounds, begun: true, fold: projections.NewHistory(h.account), typeAt: map[string]uint32{}}
}

// refresh reads what is new. Cut off, it goes on from there the next time.
func (h *history) refresh(ctx context.Context, from accountStream) error {
	info, err := from.Info(ctx)
	if err != nil && info.Name == "" {
		return fmt.Errorf("read the history of account %s: %w", h.account, err)
	}
	was := h.stream
	if !h.begun || !info.Created.Equal(was.Created) || info.ID != was.ID || info.Missing() != was.Missing() || info.Last < was.Last {
		h.clear()
	} else if regrown, err := h.regrown(ctx, from); err != nil {
		return fmt.Errorf("read the history of account %s: %w", h.account, err)
	} else if regrown {
		h.clear()
	}
	h.stream = info // from before reading: what is removed while it is read is noticed the next time
	if err := from.ReadAccountAfter(ctx, h.account, h.read, 0, h.add); err != nil {
		return fmt.Errorf("read the history of account %s: %w", h.account, err)
	}
	return nil
}

// regrown tells whether the stream holds something else in the place of the last message
// that was read.
func (h *history) regrown(ctx context.Context, from accountStream) (bool, error) {
	if h.last.Position == 0 {
		return false, nil
	}
	m, found, err := from.At(ctx, h.last.Position)
	if err != nil {
		return false, err
	}
	return !found || !m.Time.Equal(h.last.Time) || engine.FingerprintOf(&m).Digest != h.last.Digest, nil
}

// add folds the account's next message, and keeps what there is to show of it.
func (h *history) add(m projections.Message) (err error) {
	defer func() {
		if err != nil {
			h.begun = false // the state may be half of a message: it is read anew the next time
		} else {
			h.last = engine.FingerprintOf(&m)
		}
	}()
	if h.erasedAt > 0 {
		h.read = m.Position
		return nil
	}
	if h.full = h.full || h.memory() > h.bounds.memory || h.kept.end > h.bounds.file; h.full {
		h.fold, h.state = nil, 0
		return h.leaveOut(m)
	}
	e, err := h.fold.Apply(m)
	if err == nil {
		err = h.keep(&e)
	}
	if h.fold != nil && len(h.entries)%stateEvery == 1 {
		h.state = h.fold.Size()
	}
	if err == nil {
		h.read = m.Position
	}
	return err
}

// leaveOut passes over a message that there is no room for, unless it erases the account.
func (h *history) leaveOut(m projections.Message) error {
	d, err := projections.Decode(m)
	if err != nil {
		return err
	}
	h.read = m.Position
	h.left++
	if d.Event.Type != events.TypeAccountErased {
		return nil
	}
	e, err := projections.NewHistory(h.account).Apply(m)
	if err != nil || e.Outcome != projections.Applied {
		return err
	}
	return h.keep(&e)
}

// keep adds what there is to show of a message. Of an account that it erases nothing else
// stays.
func (h *history) keep(e *projections.HistoryEntry) error {
	v := h.privacy.entryOf(e)
	if e.Outcome == projections.Applied && e.Type == events.TypeAccountErased {
		h.kept.close()
		clear(h.entry[:cap(h.entry)])
		h.entries, h.types, h.typeAt, h.fold, h.state = nil, nil, map[string]uint32{}, nil, 0
		h.erasedAt, h.full, h.left, v.Changes = e.Position, false, 0, nil
	}
	kind, known := h.typeAt[v.Type]
	if !known {
		kind = uint32(len(h.types))
		h.types, h.typeAt[v.Type] = append(h.types, v.Type), kind
	}
	h.entry = appendEntry(h.entry[:0], &v)
	at, err := h.kept.append(h.entry)
	if err != nil {
		return err
	}
	h.entries = append(h.entries, entryRef{e.Position, at, uint32(len(h.entry)), kind, v.Outcome})
	return nil
}

// memory is about how many bytes of memory the history takes.
func (h *history) memory() int {
	return h.kept.memory() + len(h.entries)*refBytes + len(h.types)*4*mostType + h.state
}

// at decodes the entry of an index.
func (h *history) at(i int) (entryView, error) {
	b, err := h.kept.read(h.entries[i].at, int(h.entries[i].size))
	if err != nil {
		return entryView{}, err
	}
	return readEntry(b)
}
