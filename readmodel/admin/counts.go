package admin

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/readmodel"
)

// CountParked counts the parked messages of the live generation that were not
// dismissed, of the partitions that this replica owns. Those of partitions that no
// live replica owns are counted by the replica that joined first: so all replicas'
// counts add up to all there are.
func CountParked(ctx context.Context, pool *pgxpool.Pool, replica string) (n int64, err error) {
	g, err := readmodel.LiveGeneration(ctx, pool)
	if err != nil {
		return 0, err
	}
	err = pool.QueryRow(ctx, readmodel.InSchema(g.Number, selectOwnParked), g.Number, replica, g.Stream.Name, g.Stream.Created).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count parked messages: %w", err)
	}
	return n, nil
}

// selectOwnParked counts the parked messages of the partitions of a replica. The messages
// are counted in the index of partitions, whose parts of other replicas it does not read;
// a generation that an older program has made lacks it, and has its table read. The
// dismissed ones, which are few as a rule, are counted by themselves: held against each
// message, they would make the count take twice as long.
const selectOwnParked = `
WITH own AS MATERIALIZED (
    SELECT ARRAY(
        SELECT c.partition FROM export.checkpoints c LEFT JOIN export.members m ON m.member = c.owner
        WHERE c.generation = $1 AND (c.owner = $2
            OR m.member IS NULL AND $2 = (SELECT member FROM export.members ORDER BY joined_at, member LIMIT 1))) AS partitions)
SELECT (SELECT count(*) FROM {schema}.parked WHERE partition = ANY ((SELECT partitions FROM own)::integer[])) -
    (SELECT count(*) FROM export.dismissals d JOIN {schema}.parked p ON p.position = d.position
        WHERE d.stream_name = $3 AND d.stream_created = $4 AND p.partition = ANY ((SELECT partitions FROM own)::integer[]))`

// CountDismissed counts the parked messages of the live generation that were
// dismissed.
func CountDismissed(ctx context.Context, pool *pgxpool.Pool) (n int64, err error) {
	g, err := readmodel.LiveGeneration(ctx, pool)
	if err != nil {
		return 0, err
	}
	return countDismissed(ctx, pool, g)
}

// CountAccounts counts the accounts of the live generation that were heard of
// and not erased. It reads all of them.
func CountAccounts(ctx context.Context, pool *pgxpool.Pool) (n int64, err error) {
	g, err := readmodel.LiveGeneration(ctx, pool)
	if err != nil {
		return 0, err
	}
	err = pool.QueryRow(ctx, readmodel.InSchema(g.Number, `SELECT count(*) FROM {schema}.account_export WHERE erased_at IS NULL`)).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count accounts: %w", err)
	}
	return n, nil
}
