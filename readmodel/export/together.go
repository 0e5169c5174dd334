package export

import (
	"context"

	"accountexport/events"
)

// unknownMost is how much of a document is read together with others where
// nothing is known of it: nearly all are shorter. One that is longer is read
// again, and its length is known then.
const unknownMost = 32 << 10

// expect asks for a document by what is known of it from earlier reads; of one
// that is too large for one statement only for the rest.
func (x *Exports) expect(account events.UUID) request {
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

func (x *Exports) learn(account events.UUID, f found) {
	size := f.size
	if f.pages == 0 {
		size = -size
	}
	if f.meta.State == Complete && size != 0 {
		x.sizes.Add(account, size)
	}
}

// readTogether is the statement of [gather].
func (x *Exports) readTogether(ctx context.Context, of []request) (all []found, err error) {
	for t := x.try(); ; {
		if all, err = x.readOnce(ctx, of); err == nil || !t.again(ctx, err) {
			return all, err
		}
	}
}

func (x *Exports) readOnce(ctx context.Context, of []request) (all []found, err error) {
	l, err := x.acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer l.release()
	all = make([]found, len(of))
	err = x.onLive(l.ctx, l.conn, func(q *queries) (live bool, err error) {
		if len(of) > 1 {
			return q.readMany(l.ctx, l.conn, of, all)
		}
		all[0], live, err = q.read(l.ctx, l.conn, of[0])
		return live, err
	})
	if err != nil {
		return nil, l.failed(err)
	}
	x.pulse.beat()
	for i, r := range of {
		if r.whole {
			x.learn(r.account, all[i])
		}
	}
	return all, nil
}
