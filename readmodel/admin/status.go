package admin

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/projections"
	"accountexport/projections/engine"
	"accountexport/readmodel"
	"accountexport/readmodel/internal/pg"
)

// Status is how far the live generation has come.
type Status struct {
	Generation readmodel.Generation
	Partitions []PartitionStatus
	Members    []Member // live ones, in the order of their joining
	Accounts   int64    // heard of, estimated by the database's statistics
	Parked     int64    // messages that count
	Dismissed  int64    // parked messages that no longer do
}

// PartitionStatus is one partition's checkpoint.
type PartitionStatus struct {
	engine.Checkpoint
	Owner string
}

// ReadStatus reads the status of the live generation.
func ReadStatus(ctx context.Context, db pg.Querier) (Status, error) {
	var st Status
	g, err := readmodel.LiveGeneration(ctx, db)
	if err != nil {
		return st, err
	}
	st.Generation = g
	rows, err := db.Query(ctx, `
SELECT partition, position, epoch, as_of, coalesce(owner, ''), applied, duplicate, deferred, ignored, parked,
    last_position, last_at, last_digest
FROM export.checkpoints WHERE generation = $1 ORDER BY partition`, g.Number)
	if err != nil {
		return st, fmt.Errorf("read checkpoints: %w", err)
	}
	st.Partitions, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (p PartitionStatus, err error) {
		t := &p.Tally
		var last readmodel.StoredFingerprint
		err = r.Scan(&p.Partition, &p.Position, &p.Epoch, &p.AsOf, &p.Owner, &t[projections.Applied], &t[projections.Duplicate],
			&t[projections.Deferred], &t[projections.Ignored], &t[projections.Parked], &last.Position, &last.At, &last.Digest)
		if err == nil {
			p.Last, err = last.Fingerprint()
		}
		return p, err
	})
	if err != nil {
		return st, fmt.Errorf("read checkpoints: %w", err)
	}
	if st.Members, err = listMembers(ctx, db, g.Number); err != nil {
		return st, err
	}
	err = db.QueryRow(ctx, readmodel.InSchema(g.Number, `
SELECT (SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = '{schema}.account_export'::regclass),
    (SELECT count(*) FROM {schema}.parked)`)).Scan(&st.Accounts, &st.Parked)
	if err != nil {
		return st, fmt.Errorf("count: %w", err)
	}
	if st.Dismissed, err = countDismissed(ctx, db, g); err != nil {
		return st, err
	}
	st.Parked -= st.Dismissed
	return st, nil
}

func countDismissed(ctx context.Context, db pg.Querier, g readmodel.Generation) (n int64, err error) {
	err = db.QueryRow(ctx, readmodel.InSchema(g.Number, `
SELECT count(*) FROM export.dismissals d JOIN {schema}.parked p ON p.position = d.position
WHERE d.stream_name = $1 AND d.stream_created = $2`), g.Stream.Name, g.Stream.Created).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count dismissed messages: %w", err)
	}
	return n, nil
}

// CountParked counts the parked messages of the live generation that were not
// dismissed, of the partitions that this replica owns. Those of partitions that no
// live replica owns are its, too, where it has been one for longest: so all
// replicas' counts add up to all there are.
func CountParked(ctx context.Context, pool *pgxpool.Pool, replica string) (n int64, err error) {
	g, err := readmodel.LiveGeneration(ctx, pool)
	if err != nil {
		return 0, err
	}
	err = pool.QueryRow(ctx, readmodel.InSchema(g.Number, `
SELECT count(*) FROM {schema}.parked p
WHERE p.partition IN (
        SELECT c.partition FROM export.checkpoints c LEFT JOIN export.members m ON m.member = c.owner
        WHERE c.generation = $1 AND (c.owner = $2
            OR m.member IS NULL AND $2 = (SELECT member FROM export.members ORDER BY joined_at, member LIMIT 1)))
    AND NOT EXISTS (SELECT FROM export.dismissals d WHERE d.stream_name = $3 AND d.stream_created = $4 AND d.position = p.position)`),
		g.Number, replica, g.Stream.Name, g.Stream.Created).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count parked messages: %w", err)
	}
	return n, nil
}

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

// Member is a replica that shares the live generation's partitions.
type Member struct {
	Name           string
	JoinedAt       time.Time
	SinceHeartbeat time.Duration // since it was last seen
	Partitions     int
}

func listMembers(ctx context.Context, db pg.Querier, generation int64) ([]Member, error) {
	rows, err := db.Query(ctx, `
SELECT m.member, m.joined_at, extract(epoch FROM clock_timestamp() - m.seen_at)::float8,
    (SELECT count(*) FROM export.checkpoints c WHERE c.generation = $1 AND c.owner = m.member)
FROM export.members m ORDER BY m.joined_at, m.member`, generation)
	if err != nil {
		return nil, fmt.Errorf("list members: %w", err)
	}
	members, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (m Member, err error) {
		var silent float64
		err = r.Scan(&m.Name, &m.JoinedAt, &silent, &m.Partitions)
		m.SinceHeartbeat = max(0, time.Duration(silent*float64(time.Second)))
		return m, err
	})
	if err != nil {
		return nil, fmt.Errorf("list members: %w", err)
	}
	return members, nil
}
