package export

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"accountexport/events"
)

// openLarge opens a document that one statement does not read, from the spool
// of its version; where only some of it is wanted and nobody reads it, that is
// read alone.
func (x *Reader) openLarge(ctx context.Context, account events.UUID, f readResult, choose RangeFunc) (*Document, error) {
	key := version{account, f.meta.ETag()}
	if choose != nil && !x.large.has(key) {
		t := x.startRetry()
		d, err := x.openRange(ctx, key, choose)
		for err != nil && t.retry(ctx, err) {
			d, err = x.openRange(ctx, key, choose)
		}
		if d != nil || err != nil {
			return d, err
		}
	}
	began, t := time.Now(), x.startRetry()
	for {
		left := queueTimeout - time.Since(began)
		p, mine := x.large.join(key, func(ctx context.Context, p *spool) { _ = p.end(x.fill(ctx, left, account, f.pages, p)) })
		err := p.await(ctx)
		if err == nil {
			d := &Document{Meta: p.meta, size: p.size, spool: p, ctx: ctx}
			if d.State != Complete {
				d.Close()
				return d, nil
			}
			if d.ETag() == key.tag {
				d.Meta = f.meta // the same, as of later, maybe
			}
			return d.part(choose), nil
		}
		p.removeReader()
		switch {
		case ctx.Err() != nil:
			return nil, err
		case errors.Is(err, ErrBusy) && !mine && time.Since(began) < queueTimeout: // the turn of who came earlier
		case t.retry(ctx, err):
		default:
			return nil, err
		}
	}
}

// A page has some four thousand bytes. Where that is far from what they are,
// more is taken when it is known.
const usualPage, usualRest = 4 << 10, 64 << 10

// errLargerGrant means that more room is needed than was taken.
type errLargerGrant struct{ size int64 }

func (e errLargerGrant) Error() string { return fmt.Sprintf("the document has %d bytes", e.size) }

// fill writes the account's document into the spool: first there has to be
// room for it, which is waited for so long, and then it is read from one snapshot, at the database's speed.
func (x *Reader) fill(ctx context.Context, wait time.Duration, account events.UUID, pages int, p *spool) error {
	return x.withBudget(ctx, wait, account, int64(pages)*usualPage+usualRest, false, func(room *grant) error {
		return x.withResume(ctx, p, func() error {
			return x.inSnapshot(ctx, account, func(b *pgx.Batch, q *queries) {
				b.Queue(q.written, uuid(account))
				b.Queue(q.sums, uuid(account))
				b.Queue(q.pages, uuid(account))
			}, func(s *snapshot) error {
				if s.meta.State != Complete && !p.writes() {
					return p.begin(s.meta, 0, grant{})
				}
				by, err := s.written()
				if err != nil {
					return err
				}
				extents, err := s.sums()
				if err != nil {
					return err
				}
				size := s.sections.size(extents)
				if !p.writes() {
					if !p.cache.budget.resize(room, size) {
						return errLargerGrant{size}
					}
					x.rememberSize(account, readResult{meta: s.meta, size: int(size), pages: s.pages})
					if err := p.begin(s.meta, size, take(room)); err != nil {
						return err
					}
				}
				put, err := p.resume(by, size)
				if err != nil {
					return err
				}
				return s.write(put)
			})
		})
	})
}

// withResume reads a document, and goes on where that was cut off after its readers
// had some of it: as long as it is the same version, what is left is the same.
func (x *Reader) withResume(ctx context.Context, p *spool, read func() error) error {
	t := x.startRetry()
	err := read()
	for there := p.at; err != nil && p.writes(); {
		if p.at > there { // a loss by itself, and not the one before
			t, there = x.startRetry(), p.at
		}
		if !t.retry(ctx, err) {
			return err
		}
		was := err
		if err = read(); errors.Is(err, errVersionChanged) {
			return was
		}
	}
	return err
}

// take is what was granted, for somebody else to give back.
func take(room *grant) grant {
	g := *room
	*room = grant{}
	return g
}

// withBudget does what needs room for so many bytes, or, as it may say itself,
// for more. What it does not take it need not give back.
func (x *Reader) withBudget(ctx context.Context, wait time.Duration, account events.UUID, size int64, part bool, do func(room *grant) error) error {
	began := time.Now().Add(wait - queueTimeout) // who waits for less has waited for another's turn before
	waiting, cancel := context.WithTimeoutCause(ctx, wait, ErrBusy)
	defer cancel()
	for {
		err := x.once(waiting, began, account, size, part, do)
		var more errLargerGrant
		if !errors.As(err, &more) {
			return err
		}
		size = more.size
	}
}

func (x *Reader) once(waiting context.Context, began time.Time, account events.UUID, size int64, part bool, do func(room *grant) error) error {
	room, err := x.large.budget.acquireFor(waiting, account, size, part)
	if err != nil {
		return err
	}
	defer func() { x.large.budget.release(room) }()
	slot, err := x.fills.acquire(waiting, account, 1)
	if err != nil { // room is held by clients, but connections by those who read
		return x.liveness.classify(err, began)
	}
	defer x.fills.release(slot)
	return do(&room)
}

// chosen is what somebody wants of a document.
type chosen struct{ from, to int64 }

// errWhole means that the document is to be read, rather than a part of it.
var errWhole = errors.New("a part of the document is not worth reading alone")

// openRange reads a part of the document alone, which can be read as it comes.
// It does not, and returns nil, where that is the larger part of it, or the
// document has become another.
func (x *Reader) openRange(ctx context.Context, key version, choose RangeFunc) (*Document, error) {
	sizes, choices := make(chan *Document), make(chan chosen)
	p := x.large.newUnshared(key)
	p.start(func(filling context.Context, p *spool) {
		_ = p.end(x.fillRange(filling, key, p, func(d *Document) (c chosen, err error) {
			select {
			case sizes <- d:
			case <-filling.Done():
				return c, context.Cause(filling)
			}
			select {
			case c = <-choices:
				return c, nil
			case <-filling.Done():
				return c, context.Cause(filling)
			}
		}))
	})
	var d *Document
	kept := false
	defer func() {
		if !kept {
			p.removeReader()
		}
	}()
	for {
		select {
		case d = <-sizes: // again where more room is needed
			d.ctx, d.spool = ctx, p
			d.part(choose)
			d.start = d.From
			select {
			case choices <- chosen{d.From, d.To}:
			case <-p.begun:
			}
			continue
		case <-p.begun:
		case <-ctx.Done():
		}
		err := p.await(ctx)
		if kept = err == nil; kept {
			return d, nil
		}
		if errors.Is(err, errWhole) {
			err = nil
		}
		return nil, err
	}
}

// fillRange writes what is chosen of the document into the spool.
func (x *Reader) fillRange(ctx context.Context, key version, p *spool, choose func(d *Document) (chosen, error)) error {
	return x.withBudget(ctx, queueTimeout, key.account, 1, true, func(room *grant) error {
		var not error // what ends the snapshot in good order
		var c chosen
		err := x.withResume(ctx, p, func() error {
			return x.inSnapshot(ctx, key.account, func(b *pgx.Batch, q *queries) {
				b.Queue(q.written, uuid(key.account))
				b.Queue(q.extents, uuid(key.account))
			}, func(s *snapshot) error {
				by, err := s.written()
				if err != nil {
					return err
				}
				pages, extents, err := s.extents()
				if err != nil {
					return err
				}
				whole := s.sections.size(extents)
				if !p.writes() {
					if s.meta.State != Complete || s.meta.ETag() != key.tag {
						not = errWhole
						return nil
					}
					c, err = choose(&Document{Meta: s.meta, size: whole})
					size := c.to - c.from
					switch {
					case err != nil:
						return err
					case size == 0:
						return p.begin(s.meta, 0, grant{})
					case size > whole/2:
						not = errWhole
						return nil
					case !x.large.budget.resize(room, size):
						not = errLargerGrant{size}
						return nil
					}
					if err := p.begin(s.meta, size, take(room)); err != nil {
						return err
					}
				}
				put, err := p.resume(by, c.to-c.from)
				if err != nil {
					return err
				}
				return s.writeSome(c.from, c.to, pages, put)
			})
		})
		if err == nil {
			err = not
		}
		return err
	})
}
