package export

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
)

// byteRange is a part of a document, [from, to).
type byteRange struct{ from, to int64 }

// errReadWhole means that the whole document is to be read, rather than a part of it.
var errReadWhole = errors.New("a part of the document is not worth reading alone")

// openRange reads a part of the document alone, into a spool that no other read
// shares. It does not, and returns nil, where the part is the larger part of the
// document, or the document has become another version.
func (x *Reader) openRange(ctx context.Context, key version, choose RangeFunc) (*Document, error) {
	sizes, choices := make(chan *Document), make(chan byteRange)
	p := x.large.newUnshared(key)
	p.start(func(filling context.Context, p *spool) {
		_ = p.end(x.fillRange(filling, key, p, func(d *Document) (c byteRange, err error) {
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
	opened := false
	defer func() {
		if !opened {
			p.removeReader()
		}
	}()
	for {
		select {
		case d = <-sizes: // comes again where more room is needed
			d.ctx, d.spool = ctx, p
			d.choose(choose)
			d.start = d.From
			select {
			case choices <- byteRange{d.From, d.To}:
			case <-p.begun:
			}
			continue
		case <-p.begun:
		case <-ctx.Done():
		}
		err := p.await(ctx)
		if opened = err == nil; opened {
			return d, nil
		}
		if errors.Is(err, errReadWhole) {
			err = nil
		}
		return nil, err
	}
}

// fillRange writes the part that choose wants of the document into the spool.
func (x *Reader) fillRange(ctx context.Context, key version, p *spool, choose func(d *Document) (byteRange, error)) error {
	return x.withBudget(ctx, queueTimeout, key.account, 1, true, func(room *grant) error {
		var outcome error // what ends the read without being an error of the snapshot
		var chosen byteRange
		err := x.withResume(ctx, p, func() error {
			return x.inSnapshot(ctx, key.account, func(b *pgx.Batch, q *queries) {
				b.Queue(q.rowVersion, uuid(key.account))
				b.Queue(q.pageExtents, uuid(key.account))
			}, func(s *snapshot) error {
				writtenBy, err := s.rowVersion()
				if err != nil {
					return err
				}
				pages, extents, err := s.pageExtents()
				if err != nil {
					return err
				}
				documentSize := s.sections.size(extents)
				if !p.hasBegun() {
					if s.meta.State != Complete || s.meta.ETag() != key.tag {
						outcome = errReadWhole
						return nil
					}
					chosen, err = choose(&Document{Meta: s.meta, size: documentSize})
					size := chosen.to - chosen.from
					switch {
					case err != nil:
						return err
					case size == 0:
						return p.begin(s.meta, 0, grant{})
					case size > documentSize/2:
						outcome = errReadWhole
						return nil
					case !x.large.budget.resize(room, size):
						outcome = largerGrantError{size}
						return nil
					}
					if err := p.begin(s.meta, size, takeGrant(room)); err != nil {
						return err
					}
				}
				put, err := p.resume(writtenBy, chosen.to-chosen.from)
				if err != nil {
					return err
				}
				return s.writeRange(chosen.from, chosen.to, pages, put)
			})
		})
		if err == nil {
			err = outcome
		}
		return err
	})
}
