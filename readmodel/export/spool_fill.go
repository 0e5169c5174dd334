package export

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"accountexport/events"
)

// openLarge opens a document that one statement does not read, from the spool of its
// version. Where only a part of it is wanted and no spool of it exists, that part is
// read alone. Where it may be a gzip body, and can be put together of what is stored as
// one, it is.
func (x *Reader) openLarge(ctx context.Context, account events.UUID, f readResult, choose RangeFunc, gzip bool) (*Document, error) {
	if q := x.live.Load(); gzip && q != nil && q.segments != "" {
		d, err := x.openSpool(ctx, version{account, f.meta.ETag(), true}, f, nil)
		if !errors.Is(err, errNotStored) {
			return d, err
		}
	}
	key := version{account, f.meta.ETag(), false}
	if choose != nil && !x.large.contains(key) {
		t := x.startRetry()
		d, err := x.openRange(ctx, key, choose)
		for err != nil && t.retry(ctx, err) {
			d, err = x.openRange(ctx, key, choose)
		}
		if d != nil || err != nil {
			return d, err
		}
	}
	return x.openSpool(ctx, key, f, choose)
}

// openSpool opens a document from the spool of its version. Where there is none, it makes
// one and starts the writer that fills it; later readers share it.
func (x *Reader) openSpool(ctx context.Context, key version, f readResult, choose RangeFunc) (*Document, error) {
	began, t := time.Now(), x.startRetry()
	fill := x.fill
	if key.gzip {
		fill = x.fillGzip
	}
	for {
		remaining := queueTimeout - time.Since(began)
		p, created := x.large.join(key, func(ctx context.Context, p *spool) { _ = p.end(fill(ctx, remaining, key.account, f.pages, p)) })
		err := p.await(ctx)
		if err == nil {
			d := &Document{Meta: p.meta, size: p.size, spool: p, ctx: ctx}
			if key.gzip {
				d.size, d.gzip = p.plain, p.size
			}
			if d.State != Complete {
				d.Close()
				return d, nil
			}
			if d.ETag() == key.tag {
				d.Meta = f.meta // the same version, and its AsOf may be later
			}
			return d.choose(choose), nil
		}
		p.removeReader()
		switch {
		case ctx.Err() != nil:
			return nil, err
		case errors.Is(err, ErrBusy) && !created && time.Since(began) < queueTimeout: // the time of the reader that came first is over, and not this one's
		case t.retry(ctx, err):
		default:
			return nil, err
		}
	}
}

// fill writes the account's document into the spool: first it waits, for at most
// queueFor, for room and a connection, and then it reads the document from one
// snapshot, at the database's speed.
func (x *Reader) fill(ctx context.Context, queueFor time.Duration, account events.UUID, pages int, p *spool) error {
	return x.withBudget(ctx, queueFor, account, int64(pages)*estimatedPageBytes+estimatedRestBytes, false, func(reserved *grant) error {
		return x.withResume(ctx, p, func() error {
			return x.inSnapshot(ctx, account, func(b *pgx.Batch, q *queries) {
				b.Queue(q.rowVersion, uuid(account))
				b.Queue(q.sectionSums, uuid(account))
				b.Queue(q.allPages, uuid(account))
			}, func(s *snapshot) error {
				if s.meta.State != Complete && !p.hasBegun() {
					return p.begin(s.meta, 0, grant{})
				}
				writtenBy, err := s.rowVersion()
				if err != nil {
					return err
				}
				extents, err := s.sectionSums()
				if err != nil {
					return err
				}
				size := s.sections.size(extents)
				if !p.hasBegun() {
					if !p.cache.budget.resize(reserved, size) {
						return largerGrantError{size}
					}
					x.rememberSize(account, readResult{meta: s.meta, size: int(size), pages: s.pages})
					if err := p.begin(s.meta, size, takeGrant(reserved)); err != nil {
						return err
					}
				}
				put, err := p.resume(writtenBy, size)
				if err != nil {
					return err
				}
				return s.writeAll(put)
			})
		})
	})
}

// estimatedPageBytes and estimatedRestBytes are what room is first asked for by: a page
// has some four thousand bytes, and the rest of a document is short. Where the
// document turns out to be larger, room for all of it is waited for.
const estimatedPageBytes, estimatedRestBytes = 4 << 10, 64 << 10

// largerGrantError means that more room is needed than was granted.
type largerGrantError struct{ size int64 }

func (e largerGrantError) Error() string { return fmt.Sprintf("the document has %d bytes", e.size) }

// withBudget calls use with room for so many bytes and a connection's turn, and again
// with more where use says so by a [largerGrantError]. What use keeps of the grant it
// takes out of it; the rest is given back.
func (x *Reader) withBudget(ctx context.Context, queueFor time.Duration, account events.UUID, size int64, part bool, use func(room *grant) error) error {
	began := time.Now().Add(queueFor - queueTimeout) // a shorter wait follows one for an earlier reader's spool
	waiting, cancel := context.WithTimeoutCause(ctx, queueFor, ErrBusy)
	defer cancel()
	for {
		err := x.withGrants(waiting, began, account, size, part, use)
		var larger largerGrantError
		if !errors.As(err, &larger) {
			return err
		}
		size = larger.size
	}
}

func (x *Reader) withGrants(waiting context.Context, began time.Time, account events.UUID, size int64, part bool, use func(room *grant) error) error {
	room, err := x.large.budget.acquireFor(waiting, account, size, part)
	if err != nil {
		return err
	}
	defer func() { x.large.budget.release(room) }()
	slot, err := x.fills.acquire(waiting, account, 1)
	if err != nil { // clients hold room, but reads hold connections: none comes free where the database is silent
		return x.liveness.classify(err, began)
	}
	defer x.fills.release(slot)
	return use(&room)
}

// takeGrant is what was granted, for the caller to give back.
func takeGrant(room *grant) grant {
	g := *room
	*room = grant{}
	return g
}

// withResume reads a document, and goes on where reading was cut off after the spool's
// readers had some of it: as long as it is the same version, the rest is the same.
func (x *Reader) withResume(ctx context.Context, p *spool, read func() error) error {
	t := x.startRetry()
	err := read()
	for written := p.written; err != nil && p.hasBegun(); {
		if p.written > written { // another loss than the one before, with a window of its own
			t, written = x.startRetry(), p.written
		}
		if !t.retry(ctx, err) {
			return err
		}
		cut := err
		if err = read(); errors.Is(err, errVersionChanged) {
			return cut
		}
	}
	return err
}
