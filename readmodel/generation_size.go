package readmodel

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"
)

// GenerationSize is how many bytes the tables of a generation take on disk, with their
// indexes.
func GenerationSize(ctx context.Context, pool *pgxpool.Pool, number int64) (bytes int64, err error) {
	err = pool.QueryRow(ctx, `
SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class WHERE relnamespace = to_regnamespace($1) AND relkind = 'r'`,
		SchemaName(number)).Scan(&bytes)
	if err != nil {
		return 0, fmt.Errorf("size of generation %d: %w", number, err)
	}
	return bytes, nil
}
