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

// LiveGeneration is the generation that is served; [ErrNoGeneration] where there is
// none.
func LiveGeneration(ctx context.Context, db pg.Querier) (Generation, error) {
	live, _, err := liveAnd(ctx, db, `WHERE state = 'live'`)
	return live, err
}

// LiveAndBuilding is [LiveGeneration] and [BuildingGeneration] in one statement; the
// second is nil where none is being built.
func LiveAndBuilding(ctx context.Context, db pg.Querier) (live Generation, building *Generation, err error) {
	live, others, err := liveAnd(ctx, db, `WHERE state = 'live' OR `+isBuilding)
	if len(others) > 0 {
		building = &others[0]
	}
	return live, building, err
}

// isBuilding is the condition for a generation that a rebuild writes, or has begun and
// not finished.
const isBuilding = `state = 'building' AND finished_at IS NULL`

// liveAnd is the live generation, and the others that a WHERE clause selects with it.
func liveAnd(ctx context.Context, db pg.Querier, where string) (Generation, []Generation, error) {
	all, err := SelectGenerations(ctx, db, where)
	if pg.IsUndefinedColumn(err) {
		return Generation{}, nil, explainOutdated(err)
	}
	if pg.IsUndefinedTable(err) {
		return Generation{}, nil, fmt.Errorf("the database has no schema of ours: `projector provision` makes it: %w", err)
	}
	if err != nil {
		return Generation{}, nil, err
	}
	i := slices.IndexFunc(all, func(g Generation) bool { return g.State == StateLive })
	if i < 0 {
		return Generation{}, nil, ErrNoGeneration
	}
	return all[i], slices.Delete(slices.Clone(all), i, i+1), nil
}

// BuildingGeneration is the generation that a rebuild writes, or has begun and not
// finished; [ErrNotFound] where there is none.
func BuildingGeneration(ctx context.Context, db pg.Querier) (Generation, error) {
	all, err := SelectGenerations(ctx, db, `WHERE `+isBuilding)
	if err != nil {
		return Generation{}, err
	}
	if len(all) == 0 {
		return Generation{}, fmt.Errorf("generation being built: %w", ErrNotFound)
	}
	return all[0], nil
}

// FindGeneration is the generation of a number; [ErrNotFound] where it does not
// exist or was dropped.
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

// Generations lists all generations that were not dropped, in the order of their
// numbers.
func Generations(ctx context.Context, pool *pgxpool.Pool) ([]Generation, error) {
	return SelectGenerations(ctx, pool, "")
}

// SourceStreams lists the streams that the generations were folded from, that of
// the live one first. A stream is listed once for each of its generations.
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

// SelectGenerations lists the generations for which a WHERE clause holds, in the
// order of their numbers; all of them where it is empty.
func SelectGenerations(ctx context.Context, db pg.Querier, where string, args ...any) ([]Generation, error) {
	rows, err := db.Query(ctx, `
SELECT generation, state, version_major, version_minor, refolded_minor, stream_name, stream_created, coalesce(stream_id, ''), partitions, format, history, started_at, finished_at,
    to_regclass('export_g' || generation || '.account_export_segments') IS NOT NULL
FROM export.generations `+where+` ORDER BY generation`, args...)
	if err != nil {
		return nil, fmt.Errorf("read generations: %w", err)
	}
	out, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (g Generation, err error) {
		err = r.Scan(&g.Number, &g.State, &g.Major, &g.Minor, &g.RefoldedMinor, &g.Stream.Name, &g.Stream.Created, &g.Stream.ID, &g.Partitions, &g.Format, &g.Incarnation,
			&g.Started, &g.Finished, &g.Segments)
		g.Stream.Partitions = g.Partitions
		return g, err
	})
	if err != nil {
		return nil, fmt.Errorf("read generations: %w", err)
	}
	return out, nil
}
