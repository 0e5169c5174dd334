package admin

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"accountexport/readmodel"
	"accountexport/readmodel/internal/pg"
)

// GenerationStatus is a generation, how far it is, and how much room it takes.
type GenerationStatus struct {
	readmodel.Generation
	Position uint64 // its lowest checkpoint
	Mean     uint64 // of its checkpoints: how much of the stream is folded where partitions are folded one after another
	Bytes    int64  // of its tables with their indexes, on disk
}

// ReadGenerations lists all generations that were not dropped, in the order of their
// numbers, by two statements, however many they are. No row of theirs is read.
func ReadGenerations(ctx context.Context, db pg.Querier) ([]GenerationStatus, error) {
	all, err := readmodel.SelectGenerations(ctx, db, "")
	if err != nil {
		return nil, readmodel.ExplainOutdatedSchema(err)
	}
	rows, err := db.Query(ctx, `
SELECT g.generation, coalesce(min(c.position), 0), coalesce(floor(avg(c.position)), 0)::bigint,
    (SELECT coalesce(sum(pg_total_relation_size(t.oid)), 0)::bigint FROM pg_class t
     WHERE t.relnamespace = to_regnamespace('export_g' || g.generation) AND t.relkind = 'r')
FROM export.generations g LEFT JOIN export.checkpoints c USING (generation) GROUP BY g.generation`)
	if err != nil {
		return nil, fmt.Errorf("read how far the generations are: %w", err)
	}
	figures := map[int64]GenerationStatus{} // one that was dropped since has none
	var number int64
	var f GenerationStatus
	_, err = pgx.ForEachRow(rows, []any{&number, &f.Position, &f.Mean, &f.Bytes}, func() error {
		figures[number] = f
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read how far the generations are: %w", err)
	}
	out := make([]GenerationStatus, len(all))
	for i, g := range all {
		out[i] = figures[g.Number]
		out[i].Generation = g
	}
	return out, nil
}
