package export

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
)

// Limits bound what a [Reader] holds of documents that are being sent.
type Limits struct {
	Memory int64  // bytes in memory, of documents of more than 16 KiB; default 64 MiB
	Dir    string // where what does not fit is put, in files without a name; default the system's temporary folder
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

// How long a read waits for its turn (a connection, or room for the document), and
// then for each answer of the database.
const (
	queueTimeout = 5 * time.Second
	readTimeout  = 5 * time.Second
)

// maxUncountedBytes is how long a document is at most that is sent from memory without
// taking room: each request that sends one has a client's connection of its own,
// whose number is limited already.
const maxUncountedBytes = 16 << 10

// idleSpoolTTL is how long the spool of a large document stays after its last reader.
const idleSpoolTTL = time.Second

// Reader reads export documents of the live generation. It is safe for
// concurrent use.
//
// No read holds a connection or a snapshot at its reader's pace. A document of
// at most [maxWholeBytes] is read by one statement, which it shares with others
// that are read at the same time; a larger one in one short snapshot into a spool,
// from which everybody who reads this version of it is served.
type Reader struct {
	// Set by NewReader, and safe for concurrent use by themselves.
	pool     *pgxpool.Pool
	groups   *groupReader
	medium   *spoolCache                  // documents that one statement reads
	large    *spoolCache                  // larger ones
	fills    *budget                      // connections that fill spools with larger ones
	sizes    *lru.Cache[events.UUID, int] // sizes of documents when they were last read, see [Reader.rememberSize]
	liveness *liveness

	live      atomic.Pointer[queries] // the generation that was live last; replaced whole by current
	lastReset poolReset

	reconnectWindow time.Duration // [reconnectWindow]; tests shorten it before the first read
}

// NewReader reads through the pool. Only the first of the limits counts; the
// zero value has the defaults.
func NewReader(pool *pgxpool.Pool, limits ...Limits) *Reader {
	l := append(limits, Limits{})[0].withDefaults()
	conns := int(pool.Config().MaxConns)
	x := &Reader{pool: pool, reconnectWindow: reconnectWindow, liveness: newLiveness(), fills: newBudget(int64(max(1, conns/2)), 0)}
	x.sizes, _ = lru.New[events.UUID, int](sizeCacheEntries) // fails only for a size below one
	x.medium = newSpoolCache(Limits{Memory: l.Memory / 2, Dir: l.Dir, Files: l.Files / 8}, 0)
	pieces := min(l.Memory/2, x.fills.total.memory*pieceSize) // memory for the pieces of those that are written to files
	x.large = newSpoolCache(Limits{Memory: l.Memory/2 - pieces, Dir: l.Dir, Files: l.Files - l.Files/8}, idleSpoolTTL)
	x.groups = newGroupReader(max(1, conns-conns/2), x.readGroup)
	return x
}

// FollowCallers gives statements the values of a caller's context, as a trace has it, and
// one that several reads share those of the first of them. Those that fill the spool of
// a large document are nobody's. It is called before the first read.
func (x *Reader) FollowCallers() { x.groups.follow = true }

// RangeFunc says which bytes [from, to) of a document are wanted, once its version
// and its size in bytes are known; none where from is to. It may be called again
// where the document has to be read again.
type RangeFunc func(m *Meta, size int64) (from, to int64)

// Open reads the account's document, all of it from one snapshot. The caller
// closes what is returned; where State is not Complete it has no body. A read
// waits for its turn; where that has not come within five seconds the error is
// [ErrBusy], and where the database then takes more than five, or has answered
// no read while the turn was waited for, [ErrTimeout].
func (x *Reader) Open(ctx context.Context, account events.UUID) (*Document, error) {
	return x.open(ctx, account, nil, false)
}

// OpenRange is Open for a part of the document; of a large one only that part is
// read. The document's ETag tells which version the part is of.
func (x *Reader) OpenRange(ctx context.Context, account events.UUID, choose RangeFunc) (*Document, error) {
	return x.open(ctx, account, choose, false)
}

// open is [Reader.OpenGzip] or [Reader.OpenRange].
func (x *Reader) open(ctx context.Context, account events.UUID, choose RangeFunc, gzip bool) (*Document, error) {
	for {
		f, err := x.read(ctx, account)
		switch {
		case err != nil:
			return nil, err
		case f.meta.State != Complete:
			return &Document{Meta: f.meta}, nil
		case f.size > maxWholeBytes:
			return x.openLarge(ctx, account, f, choose, gzip)
		case f.body == nil: // it is longer than was expected; its size is known now
			continue
		case f.size <= maxUncountedBytes:
			d := &Document{Meta: f.meta, size: int64(f.size), body: f.body}
			return d.choose(choose), nil
		}
		s, err := x.insertOrQueue(ctx, account, &f)
		switch {
		case err != nil:
			return nil, err
		case s == nil:
			continue
		}
		d := &Document{Meta: f.meta, size: s.size, spool: s, ctx: ctx}
		if s.meta.ETag() != f.meta.ETag() {
			d.Meta = s.meta
		}
		return d.choose(choose), nil
	}
}

// read returns the account's row and, where one statement reads it, its document.
func (x *Reader) read(ctx context.Context, account events.UUID) (readResult, error) {
	r, began := x.newRequest(account), time.Now()
	f, err := x.groups.get(ctx, r)
	if !r.document && f.meta.State == Complete && f.body == nil {
		f.size = sizeTooLarge
	}
	return f, x.liveness.classify(err, began)
}

// insertOrQueue puts a document that one statement has read into a spool. Where there
// is no room for it, it waits for room without holding the document, and reads it
// again. The spool is nil where the document has changed meanwhile, so that it is
// to be read by other means.
func (x *Reader) insertOrQueue(ctx context.Context, account events.UUID, f *readResult) (*spool, error) {
	s, err := x.medium.insert(account, *f, grant{})
	f.body = nil // the spool's to count, or else not to be held while room is waited for
	if err == errNoRoom {
		return x.readWithinBudget(ctx, account, f.size)
	}
	return s, err
}

// readWithinBudget waits for room for the document, and reads it again, since it was
// not held meanwhile.
func (x *Reader) readWithinBudget(ctx context.Context, account events.UUID, size int) (*spool, error) {
	waiting, cancel := context.WithTimeoutCause(ctx, queueTimeout, ErrBusy)
	defer cancel()
	room, err := x.medium.budget.acquire(waiting, account, int64(size))
	if err != nil {
		return nil, err
	}
	f, err := x.read(ctx, account)
	if err != nil || f.meta.State != Complete || f.body == nil || f.size > maxWholeBytes {
		x.medium.budget.release(room)
		return nil, err
	}
	s, err := x.medium.insert(account, f, room)
	if err == errNoRoom { // it has become longer meanwhile
		return nil, ErrBusy
	}
	return s, err
}

// Meta reads what there is to know of the account but its document. Its errors
// are those of [Reader.Open].
func (x *Reader) Meta(ctx context.Context, account events.UUID) (Meta, error) {
	began := time.Now()
	f, err := x.groups.get(ctx, request{account: account})
	return f.meta, x.liveness.classify(err, began)
}

// Ready is nil where a live generation can be read. It waits for a connection as
// long as ctx lasts: that all are in use for a moment is no failure.
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

// CheckAlive is nil where any read has had an answer since then, or one now has. So
// it asks nothing of a database that is being read from, and does not take a
// database that is busy, or that ended this one read, for one that is away.
func (x *Reader) CheckAlive(ctx context.Context, since time.Time) error {
	for t := x.startRetry(); !x.liveness.answeredSince(since); {
		if err := x.Ready(ctx); err == nil || !t.retry(ctx, err) {
			if x.liveness.answeredSince(since) {
				return nil
			}
			return err
		}
	}
	return nil
}
