package readmodel

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"accountexport/events"
)

// openLarge opens a document that one statement does not read, from the spool
// of its version; where only some of it is wanted and nobody reads it, that is
// read alone.
func (x *Exports) openLarge(ctx context.Context, account events.UUID, f found, choose Choice) (*Document, error) {
	key := version{account, f.meta.ETag()}
	if choose != nil && !x.far.has(key) {
		d, err := x.openSome(ctx, key, choose)
		if d != nil || err != nil {
			return d, err
		}
	}
	p := x.far.join(key, func(ctx context.Context, p *spool) { _ = p.end(x.fill(ctx, account, f.pages, p)) })
	if err := p.await(ctx); err != nil {
		p.leave()
		return nil, err
	}
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

// A page has some four thousand bytes. Where that is far from what they are,
// more is taken when it is known.
const usualPage, usualRest = 4 << 10, 64 << 10

// errMore means that more room is needed than was taken.
type errMore struct{ size int64 }

func (e errMore) Error() string { return fmt.Sprintf("the document has %d bytes", e.size) }

// fill writes the account's document into the spool: first there has to be
// room for it, and then it is read from one snapshot, at the database's speed.
func (x *Exports) fill(ctx context.Context, account events.UUID, pages int, p *spool) error {
	return x.withRoom(ctx, account, int64(pages)*usualPage+usualRest, func(room *grant) error {
		return x.inSnapshot(ctx, account, func(b *pgx.Batch, q *queries) {
			b.Queue(q.sums, uuid(account))
			b.Queue(q.pages, uuid(account))
		}, func(s *snapshot) error {
			if s.meta.State != Complete {
				return p.begin(s.meta, 0, grant{})
			}
			extents, err := s.sums()
			if err != nil {
				return err
			}
			size := s.sections.size(extents)
			if !p.of.room.resize(room, size) {
				return errMore{size}
			}
			x.learn(account, found{meta: s.meta, size: int(size), pages: s.pages})
			if err := p.begin(s.meta, size, take(room)); err != nil {
				return err
			}
			return s.write(p.put)
		})
	})
}

// take is what was granted, for somebody else to give back.
func take(room *grant) grant {
	g := *room
	*room = grant{}
	return g
}

// withRoom does what needs room for so many bytes, or, as it may say itself,
// for more. What it does not take it need not give back.
func (x *Exports) withRoom(ctx context.Context, account events.UUID, size int64, do func(room *grant) error) error {
	waiting, cancel := context.WithTimeoutCause(ctx, turnTimeout, ErrBusy)
	defer cancel()
	for {
		err := x.once(waiting, account, size, do)
		var more errMore
		if !errors.As(err, &more) {
			return err
		}
		size = more.size
	}
}

func (x *Exports) once(waiting context.Context, account events.UUID, size int64, do func(room *grant) error) error {
	room, err := x.far.room.take(waiting, account, size)
	if err != nil {
		return err
	}
	defer func() { x.far.room.give(room) }()
	slot, err := x.fills.take(waiting, account, 1)
	if err != nil {
		return err
	}
	defer x.fills.give(slot)
	return do(&room)
}

// openSome reads a part of the document alone. It does not, and returns nil,
// where that is the larger part of it, or the document has become another.
func (x *Exports) openSome(ctx context.Context, key version, choose Choice) (d *Document, err error) {
	err = x.withRoom(ctx, key.account, 1, func(room *grant) error {
		return x.inSnapshot(ctx, key.account, func(b *pgx.Batch, q *queries) {
			b.Queue(q.extents, uuid(key.account))
		}, func(s *snapshot) error {
			pages, extents, err := s.extents()
			if err != nil || s.meta.State != Complete || s.meta.ETag() != key.tag {
				return err
			}
			some := &Document{Meta: s.meta, size: s.sections.size(extents), ctx: ctx}
			some.part(choose)
			size := some.To - some.From
			switch {
			case size == 0:
				d = some
				return nil
			case size > some.size/2:
				return nil
			case !x.far.room.resize(room, size):
				return errMore{size}
			}
			p := x.far.alone(key)
			if err = p.begin(s.meta, size, take(room)); err == nil {
				err = p.end(s.writeSome(some.From, some.To, pages, p.put))
			}
			if err != nil {
				p.leave()
				return err
			}
			some.spool, some.start, d = p, some.From, some
			return nil
		})
	})
	if err != nil && d != nil {
		d.Close()
		d = nil
	}
	return d, err
}
