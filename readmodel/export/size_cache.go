package export

import (
	"context"

	"accountexport/events"
)

// unknownMost is how much of a document is read together with others where
// nothing is known of it: nearly all are shorter. One that is longer is read
// again, and its length is known then.
const unknownMost = 32 << 10

// newRequest asks for a document by what is known of it from earlier reads; of one
// that is too large for one statement only for the rest.
func (x *Reader) newRequest(account events.UUID) request {
	r := request{account: account, whole: true, most: unknownMost}
	size, known := x.sizes.Get(account)
	switch {
	case !known:
	case max(size, -size) > wholeMost:
		r.whole, r.most = false, 0
	case size < 0: // without pages
		r.known, r.flat, r.size, r.most = true, true, -size, unknownMost-size
	default:
		r.known, r.size, r.most = true, size, min(wholeMost, size+size/4+4<<10)
	}
	return r
}

func (x *Reader) rememberSize(account events.UUID, f readResult) {
	size := f.size
	if f.pages == 0 {
		size = -size
	}
	if f.meta.State == Complete && size != 0 {
		x.sizes.Add(account, size)
	}
}

// readGroup is the statement of [groupReader].
func (x *Reader) readGroup(ctx context.Context, of []request) (all []readResult, err error) {
	for t := x.startRetry(); ; {
		if all, err = x.readOnce(ctx, of); err == nil || !t.retry(ctx, err) {
			return all, err
		}
	}
}

func (x *Reader) readOnce(ctx context.Context, of []request) (all []readResult, err error) {
	l, err := x.acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer l.release()
	all = make([]readResult, len(of))
	err = x.withLive(l.ctx, l.conn, func(q *queries) (live bool, err error) {
		if len(of) > 1 {
			return q.readMany(l.ctx, l.conn, of, all)
		}
		all[0], live, err = q.read(l.ctx, l.conn, of[0])
		return live, err
	})
	if err != nil {
		return nil, l.failed(err)
	}
	x.liveness.answered()
	for i, r := range of {
		if r.whole {
			x.rememberSize(r.account, all[i])
		}
	}
	return all, nil
}
