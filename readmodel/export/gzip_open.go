package export

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"accountexport/events"
)

// OpenGzip is [Reader.OpenRange] for a reader that takes the document compressed by
// gzip. Where it is large, and most of it is stored compressed, it is put together of
// what is stored, and [Document.Gzip] says so: then it is the whole document, whatever
// part was chosen, since parts are of plain JSON.
func (x *Reader) OpenGzip(ctx context.Context, account events.UUID, choose RangeFunc) (*Document, error) {
	return x.open(ctx, account, choose, true)
}

// fillGzip writes the account's document into the spool as a gzip body; [errNotStored]
// where most of it is not stored compressed.
func (x *Reader) fillGzip(ctx context.Context, queueFor time.Duration, account events.UUID, pages int, p *spool) error {
	return x.withBudget(ctx, queueFor, account, int64(pages)*estimatedDeflatedBytes+estimatedRestBytes, false, func(reserved *grant) error {
		var outcome error // what ends the read without being an error of the snapshot
		err := x.withResume(ctx, p, func() error {
			outcome = nil
			return x.inSnapshot(ctx, account, func(b *pgx.Batch, q *queries) {
				b.Queue(q.rowVersion, uuid(account))
				b.Queue(q.segments, uuid(account))
			}, func(s *snapshot) error {
				writtenBy, err := s.rowVersion()
				if err != nil {
					return err
				}
				segments, err := s.readSegments()
				if err != nil {
					return err
				}
				if err := s.results.Close(); err != nil {
					return err
				}
				if s.meta.State != Complete && !p.hasBegun() {
					return p.begin(s.meta, 0, grant{})
				}
				plan, err := s.plan(segments)
				if err == errNotStored {
					outcome = err
					return nil
				} else if err != nil {
					return err
				}
				if !p.hasBegun() {
					if !p.cache.budget.resize(reserved, plan.size) {
						outcome = largerGrantError{plan.size}
						return nil
					}
					p.plain = plan.plain
					if err := p.begin(s.meta, plan.size, takeGrant(reserved)); err != nil {
						return err
					}
				}
				put, err := p.resume(fmt.Sprint(writtenBy, "/", plan.fingerprint), plan.size)
				if err != nil {
					return err
				}
				return s.writeGzip(plan, put)
			})
		})
		if err == nil {
			err = outcome
		}
		return err
	})
}

// estimatedDeflatedBytes is what room is first asked for by, for each page.
const estimatedDeflatedBytes = 600
