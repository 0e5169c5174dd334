package readmodel

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/projections/engine"
	"accountexport/readmodel/internal/pg"
)

// Generations lists all generations that were not dropped.
func Generations(ctx context.Context, pool *pgxpool.Pool) ([]Generation, error) {
	return SelectGenerations(ctx, pool, "")
}

// FindGeneration is one generation; [ErrNotFound] where it is not there.
func FindGeneration(ctx context.Context, db pg.Querier, number int64) (Generation, error) {
	all, err := SelectGenerations(ctx, db, "")
	if err != nil {
		return Generation{}, err
	}
	i := slices.IndexFunc(all, func(g Generation) bool { return g.Number == number })
	if i < 0 {
		return Generation{}, fmt.Errorf("generation %d: %w", number, ErrNotFound)
	}
	return all[i], nil
}

// BuildingGeneration is the generation that a rebuild is at work on; [ErrNotFound] where
// there is none.
func BuildingGeneration(ctx context.Context, db pg.Querier) (Generation, error) {
	all, err := SelectGenerations(ctx, db, `WHERE state = 'building' AND finished_at IS NULL`)
	if err != nil {
		return Generation{}, err
	}
	if len(all) == 0 {
		return Generation{}, fmt.Errorf("generation being built: %w", ErrNotFound)
	}
	return all[0], nil
}

func SetState(ctx context.Context, tx pgx.Tx, generation int64, state string) error {
	_, err := tx.Exec(ctx, `
UPDATE export.generations SET state = $2, finished_at = CASE
    WHEN $2 = 'building' THEN finished_at
    WHEN $2 = 'live' OR state = 'live' THEN now()
    ELSE coalesce(finished_at, now()) END
WHERE generation = $1`, generation, state)
	if err != nil {
		return fmt.Errorf("set generation %d to %s: %w", generation, state, err)
	}
	return nil
}

// SourceStreams lists the streams that the generations were folded from, that of the
// live one first.
func SourceStreams(ctx context.Context, pool *pgxpool.Pool) ([]engine.StreamIdentity, error) {
	all, err := SelectGenerations(ctx, pool, "")
	if err != nil {
		return nil, err
	}
	var out []engine.StreamIdentity
	for _, g := range all {
		out = append(out, g.Stream)
		if g.State == StateLive {
			out[0], out[len(out)-1] = out[len(out)-1], out[0]
		}
	}
	return out, nil
}
