package export

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/readmodel"
	"accountexport/readmodel/internal/pg"
)

// State says what there is to serve of an account.
type State uint8

// The states of an account.
const (
	Unknown    State = iota // no message of the account was consumed yet
	Incomplete              // heard of, but user, team or the team's tier is missing
	Complete                // there is a document
	Erased                  // removed at its owner's wish; a tombstone stays
)

// Meta is all that is known of an account's export without its document.
type Meta struct {
	State        State
	Missing      []string  // where Incomplete: of "user", "team", "quota_tier"
	Position     uint64    // stream sequence of the account's last consumed message
	TierPosition uint64    // stream sequence of the tier's definition; 0 where there is none
	Parked       int       // messages of the account that are parked
	Dismissed    int       // those of them that no longer count
	AsOf         time.Time // all that the stream held at this time is in
	Major, Minor int       // projection version that folded it
	History      int       // that the positions belong to
}

// ETag is the strong entity tag of the document as plain JSON: the same on
// every replica, and the same before and after a rebuild by the same projection
// version, as the bytes are. Where positions came to mean other messages, since
// a stream was recreated, tags are others, too.
func (m Meta) ETag() string {
	b := append(make([]byte, 0, 48), '"')
	b = append(strconv.AppendInt(b, int64(m.Major), 10), '.')
	b = append(strconv.AppendInt(b, int64(m.Minor), 10), '-')
	b = append(strconv.AppendUint(b, m.Position, 10), '-')
	b = strconv.AppendUint(b, m.TierPosition, 10)
	if m.History > 0 {
		b = strconv.AppendInt(append(b, '-'), int64(m.History), 10)
	}
	return string(append(b, '"'))
}

// Errors of [Reader].
var (
	ErrBusy    = errors.New("read export: no connection, or no room for the document, has come free")
	ErrTimeout = errors.New("read export: the database took too long")
)

// How long a read may wait for its turn, and then for its rows.
const (
	queueTimeout = 5 * time.Second
	readTimeout  = 5 * time.Second
)

// Limits bound what [Reader] hold of documents that are being sent.
type Limits struct {
	Memory int64  // bytes in memory, of documents beyond smallMost; default 64 MiB
	Dir    string // where what does not fit is put, in files that have no name; default the system's temporary folder
	Files  int64  // bytes in files; default 2 GiB
}

func (l Limits) withDefaults() Limits {
	if l.Memory == 0 {
		l.Memory = 64 << 20
	}
	if l.Files == 0 {
		l.Files = 2 << 30
	}
	return l
}

// Reader reads export documents of the live generation. It is safe for
// concurrent use.
//
// No read holds a connection or a snapshot at its reader's pace. A document of
// at most [wholeMost] bytes is read by one statement, which it shares with
// others that are read at the same time; a larger one in one short snapshot
// into a spool, from which all who read this version of it are served.
type Reader struct {
	pool   *pgxpool.Pool
	live   atomic.Pointer[queries]
	sizes  *lru.Cache[events.UUID, int] // of documents when they were read last; large where they are too large for one statement
	groups *groupReader
	medium *spoolCache // of documents that one statement reads
	large  *spoolCache // of larger ones
	fills  *budget     // connections for those

	liveness        *liveness
	lastReset       renewal
	reconnectWindow time.Duration // see [reconnectWindow]
}

// Usage is how much of their room documents hold that are being sent, or were a
// moment ago and would give way. Documents of up to 16 KiB need none.
type Usage struct {
	Memory, MemoryLimit int64 // bytes
	Files, FilesLimit   int64 // bytes
	Waiting             int   // reads that wait for room
}

// Usage tells what is held of the room for documents that one statement reads,
// and of that for larger ones. Neither has any of the other's.
func (x *Reader) Usage() (medium, large Usage) { return x.medium.budget.uses(), x.large.budget.uses() }

func (r *budget) uses() Usage {
	all, free, waiting := r.use()
	return Usage{Memory: all.memory - free.memory, MemoryLimit: all.memory, Files: all.files - free.files, FilesLimit: all.files, Waiting: waiting}
}

// idleSpoolTTL is how long a large document stays that nobody reads any more.
const idleSpoolTTL = time.Second

// knownSizes bounds the accounts whose documents' sizes are remembered.
const knownSizes = 1 << 15

// NewReader reads through the pool. Only the first of the limits counts; the
// zero value has the defaults.
func NewReader(pool *pgxpool.Pool, limits ...Limits) *Reader {
	l := append(limits, Limits{})[0].withDefaults()
	most := int(pool.Config().MaxConns)
	x := &Reader{pool: pool, reconnectWindow: reconnectWindow, liveness: newLiveness(), fills: newBudget(int64(max(1, most/2)), 0)}
	x.sizes, _ = lru.New[events.UUID, int](knownSizes) // fails only for a size below one
	x.medium = newSpoolCache(Limits{Memory: l.Memory / 2, Dir: l.Dir, Files: l.Files / 8}, 0)
	pieces := min(l.Memory/2, x.fills.all.memory*pieceMost) // of those who write to files
	x.large = newSpoolCache(Limits{Memory: l.Memory/2 - pieces, Dir: l.Dir, Files: l.Files - l.Files/8}, idleSpoolTTL)
	x.groups = newGroupReader(max(1, most-most/2), x.readGroup)
	return x
}

// current returns the statements for the generation that was live last, and
// looks up which is live where none is known or stale is no longer.
func (x *Reader) current(ctx context.Context, db pg.Querier, stale *queries) (*queries, error) {
	if q := x.live.Load(); q != nil && q != stale {
		return q, nil
	}
	g, err := readmodel.LiveGeneration(ctx, db)
	if err != nil {
		return nil, err
	}
	q := newQueries(g)
	x.live.Store(q)
	return q, nil
}

// withLive runs read with the live generation's statements, again where another
// generation has gone live meanwhile.
func (x *Reader) withLive(ctx context.Context, db pg.Querier, read func(q *queries) (live bool, err error)) error {
	var stale *queries
	for range 4 {
		q, err := x.current(ctx, db, stale)
		if err != nil {
			return err
		}
		live, err := read(q)
		if live && err == nil {
			return nil
		}
		if err != nil && !pg.IsUndefinedTable(err) {
			return err
		}
		stale = q
	}
	return errors.New("the live generation changes faster than it can be read")
}

// Meta reads what there is to know of the account but its document. Errors
// are those of [Reader.Open].
func (x *Reader) Meta(ctx context.Context, account events.UUID) (Meta, error) {
	began := time.Now()
	f, err := x.groups.get(ctx, request{account: account})
	return f.meta, x.liveness.classify(err, began)
}

// RangeFunc says which bytes of a document are wanted, once it is known of which
// version it is and how long; none where from is to.
type RangeFunc func(m *Meta, size int64) (from, to int64)

// Open reads the account's document, all of it from one snapshot. The caller
// closes what is returned; where State is not Complete it has no body. A read
// waits for its turn; where it has not come within five seconds the error is
// [ErrBusy], and where the database then takes more than five, or has answered
// nobody while the turn was waited for, [ErrTimeout].
func (x *Reader) Open(ctx context.Context, account events.UUID) (*Document, error) {
	return x.OpenRange(ctx, account, nil)
}

// OpenRange is Open for some of the document; of a large one only that is read.
// The document's ETag tells which version it is of.
func (x *Reader) OpenRange(ctx context.Context, account events.UUID, choose RangeFunc) (*Document, error) {
	for {
		f, err := x.get(ctx, account)
		switch {
		case err != nil:
			return nil, err
		case f.meta.State != Complete:
			return &Document{Meta: f.meta}, nil
		case f.size > wholeMost:
			return x.openLarge(ctx, account, f, choose)
		case f.body == nil: // longer than was expected; how long is known now
			continue
		case f.size <= smallMost:
			d := &Document{Meta: f.meta, size: int64(f.size), body: f.body}
			return d.part(choose), nil
		}
		s, err := x.medium.insert(account, f, grant{})
		f.body = nil // counted as the spool's, or else not to be held
		if err == errNoRoom {
			s, err = x.readWithinBudget(ctx, account, f.size)
		}
		switch {
		case err != nil:
			return nil, err
		case s == nil:
			continue // it has changed meanwhile
		}
		d := &Document{Meta: f.meta, size: s.size, spool: s, ctx: ctx}
		if s.meta.ETag() != f.meta.ETag() {
			d.Meta = s.meta
		}
		return d.part(choose), nil
	}
}

// readWithinBudget waits for its turn, and reads the document again: it was not
// held meanwhile.
func (x *Reader) readWithinBudget(ctx context.Context, account events.UUID, size int) (*spool, error) {
	waiting, cancel := context.WithTimeoutCause(ctx, queueTimeout, ErrBusy)
	defer cancel()
	room, err := x.medium.budget.acquire(waiting, account, int64(size))
	if err != nil {
		return nil, err
	}
	f, err := x.get(ctx, account)
	if err != nil || f.meta.State != Complete || f.body == nil || f.size > wholeMost {
		x.medium.budget.release(room)
		return nil, err
	}
	s, err := x.medium.insert(account, f, room)
	if err == errNoRoom { // it has become longer
		return nil, ErrBusy
	}
	return s, err
}

// get is the account's row and, where one statement reads it, its document.
func (x *Reader) get(ctx context.Context, account events.UUID) (readResult, error) {
	r, began := x.newRequest(account), time.Now()
	f, err := x.groups.get(ctx, r)
	if !r.whole && f.meta.State == Complete && f.body == nil {
		f.size = large
	}
	return f, x.liveness.classify(err, began)
}

// Ready says whether a live generation can be read. It waits for a connection
// as long as ctx lasts: that all are in use for a moment is no failure.
func (x *Reader) Ready(ctx context.Context) error {
	err := x.withLive(ctx, x.pool, func(q *queries) (bool, error) {
		_, live, err := q.read(ctx, x.pool, request{})
		return live, err
	})
	if err != nil {
		return fmt.Errorf("read export: %w", err)
	}
	x.liveness.answered()
	return nil
}

// CheckAlive is nil where exports could be read since then, by whomever, or can be now.
// So it asks nothing of a database that others read from, and takes none that is
// busy, or that ended this read alone, for one that is away.
func (x *Reader) CheckAlive(ctx context.Context, then time.Time) error {
	for t := x.startRetry(); !x.liveness.answeredSince(then); {
		if err := x.Ready(ctx); err == nil || !t.retry(ctx, err) {
			if x.liveness.answeredSince(then) {
				return nil
			}
			return err
		}
	}
	return nil
}
