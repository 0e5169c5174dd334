package admin

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/projections"
	"accountexport/readmodel"
)

// SumUp computes the digests of what a generation stores of some accounts.
func SumUp(ctx context.Context, pool *pgxpool.Pool, generation int64, accounts []events.UUID) (map[events.UUID]projections.Digest, error) {
	out := map[events.UUID]projections.Digest{}
	err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		all, err := computeSums(ctx, tx, generation, accounts)
		for id, s := range all {
			out[id] = s.digest
		}
		return err
	})
	return out, err
}

// SelectOwnParked is the statement of [CountParked], for the generation 1.
func SelectOwnParked() string { return readmodel.InSchema(1, selectOwnParked) }

// SelectErasedServed counts the accounts on the ledger that generation 1 serves.
func SelectErasedServed() string { return readmodel.InSchema(1, selectErasedServed) }
