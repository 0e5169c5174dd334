package export

import (
	"context"
	"errors"

	"accountexport/readmodel"
	"accountexport/readmodel/internal/pg"
)

// groupStatement runs one statement for a [groupReader], and again where its connection was
// lost.
func (x *Reader) readGroup(ctx context.Context, requests []request) (results []readResult, err error) {
	for t := x.startRetry(); ; {
		if results, err = x.readOnce(ctx, requests); err == nil || !t.retry(ctx, err) {
			return results, err
		}
	}
}

func (x *Reader) readOnce(ctx context.Context, requests []request) (results []readResult, err error) {
	l, err := x.acquireLease(ctx)
	if err != nil {
		return nil, err
	}
	defer l.release()
	results = make([]readResult, len(requests))
	err = x.withLive(l.ctx, l.conn, func(q *queries) (live bool, err error) {
		if len(requests) > 1 {
			return q.readMany(l.ctx, l.conn, requests, results)
		}
		results[0], live, err = q.read(l.ctx, l.conn, requests[0])
		return live, err
	})
	if err != nil {
		return nil, l.wrapError(err)
	}
	x.liveness.answered()
	for i, r := range requests {
		if r.document {
			x.rememberSize(r.account, results[i])
		}
	}
	return results, nil
}

// withLive runs read with the live generation's statements, and again where another
// generation has gone live meanwhile or the tables are gone.
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

// current is the statements for the generation that was live last. It looks up which
// is live where none is known or stale no longer is.
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
