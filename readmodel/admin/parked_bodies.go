package admin

import (
	"context"
	"fmt"
	"math"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/readmodel"
)

// bodiesPerPage is how many headers and payloads are in memory at once.
const bodiesPerPage = 100

// ReadParked calls each with the parked messages of the live generation that match and
// that count, or with [ParkedFilter.Dismissed] those that were dismissed: in stream
// order, with headers and payload. A message that is gone by the time that its payload is
// read, since an erasure or a retry came in between, is left out.
func ReadParked(ctx context.Context, pool *pgxpool.Pool, f ParkedFilter, each func(Parked) error) error {
	g, err := readmodel.LiveGeneration(ctx, pool)
	if err != nil {
		return err
	}
	var page []Parked
	flush := func() error {
		if len(page) == 0 {
			return nil
		}
		whole, err := readBodies(ctx, pool, g, page)
		page = page[:0]
		for _, m := range whole {
			if err == nil {
				err = each(m)
			}
		}
		return err
	}
	err = f.list(ctx, pool, g, math.MaxInt, func(m Parked) error {
		if !f.Dismissed && m.DismissedAt != nil {
			return nil
		}
		if page = append(page, m); len(page) < bodiesPerPage {
			return nil
		}
		return flush()
	})
	if err == nil {
		err = flush()
	}
	return err
}

// readBodies gives those of the messages that are still there, with headers and payload.
func readBodies(ctx context.Context, pool *pgxpool.Pool, g readmodel.Generation, page []Parked) (whole []Parked, err error) {
	positions := make([]int64, len(page))
	for i, m := range page {
		positions[i] = int64(m.Position)
	}
	rows, err := pool.Query(ctx, readmodel.InSchema(g.Number, `
SELECT position, headers, payload FROM {schema}.parked WHERE position = ANY($1) ORDER BY position`), positions)
	if err == nil {
		var position uint64
		var headers, payload []byte
		i := 0
		_, err = pgx.ForEachRow(rows, []any{&position, &headers, &payload}, func() error {
			for page[i].Position < position {
				i++
			}
			m := page[i]
			m.Headers, m.Payload = string(headers), append([]byte(nil), payload...)
			whole = append(whole, m)
			return nil
		})
	}
	if err != nil {
		return nil, fmt.Errorf("read parked messages: %w", err)
	}
	return whole, nil
}
