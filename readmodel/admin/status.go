package admin

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

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
	Parked     int64    // parked messages that were not dismissed
	Dismissed  int64    // parked messages that were
}

// PartitionStatus is one partition's checkpoint, with the replica that owns it; empty
// where none does.
type PartitionStatus struct {
	engine.Checkpoint
	Owner string
}

// Member is a replica that shares the live generation's partitions.
type Member struct {
	Name           string
	JoinedAt       time.Time
	SinceHeartbeat time.Duration // since it was last seen
	Partitions     int
	// What it has counted of messages since its start, as its metric
	// projector_events_total: rates are made of the differences of two looks. Its name
	// tells it from every other run, whose counts begin at 0. Nil where it has not told,
	// as an older program, or one that has counted nothing.
	Outcomes map[projections.TypeOutcome]int64
}

// ReadStatus reads the status of the live generation.
func ReadStatus(ctx context.Context, db pg.Querier) (Status, error) {
	var st Status
	g, err := readmodel.LiveGeneration(ctx, db)
	if err != nil {
		return st, err
	}
	st.Generation = g
	partitions, err := readPartitions(ctx, db, g.Number)
	if err != nil {
		return st, err
	}
	st.Partitions = partitions[g.Number]
	if st.Members, err = listMembers(ctx, db, g.Number); err != nil {
		return st, err
	}
	var all int64
	if err = db.QueryRow(ctx, readmodel.InSchema(g.Number, selectCounts), g.Stream.Name, g.Stream.Created).Scan(&st.Accounts, &all, &st.Dismissed); err != nil {
		return st, fmt.Errorf("count: %w", err)
	}
	st.Parked = all - st.Dismissed
	return st, nil
}

// selectCounts counts accounts, by the database's statistics, parked messages, and those
// of them that were dismissed, of a generation that was folded from the stream $1,
// created at $2.
const selectCounts = `
SELECT (SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = '{schema}.account_export'::regclass) AS accounts,
    (SELECT count(*) FROM {schema}.parked) AS parked, (` + selectDismissed + `) AS dismissed`

const selectDismissed = `
SELECT count(*) FROM export.dismissals d JOIN {schema}.parked p ON p.position = d.position
WHERE d.stream_name = $1 AND d.stream_created = $2`

// readPartitions reads the checkpoints of generations, in the order of the partitions.
func readPartitions(ctx context.Context, db pg.Querier, generations ...int64) (map[int64][]PartitionStatus, error) {
	rows, err := db.Query(ctx, `
SELECT generation, partition, position, epoch, as_of, coalesce(owner, ''), applied, duplicate, deferred, ignored, parked,
    last_position, last_at, last_digest
FROM export.checkpoints WHERE generation = ANY($1) ORDER BY partition`, generations)
	if err != nil {
		return nil, fmt.Errorf("read checkpoints: %w", err)
	}
	of := map[int64][]PartitionStatus{}
	_, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (p PartitionStatus, err error) {
		t := &p.Tally
		var generation int64
		var last readmodel.StoredFingerprint
		err = r.Scan(&generation, &p.Partition, &p.Position, &p.Epoch, &p.AsOf, &p.Owner, &t[projections.Applied], &t[projections.Duplicate],
			&t[projections.Deferred], &t[projections.Ignored], &t[projections.Parked], &last.Position, &last.At, &last.Digest)
		if err == nil {
			p.Last, err = last.Fingerprint()
		}
		of[generation] = append(of[generation], p)
		return p, err
	})
	if err != nil {
		return nil, fmt.Errorf("read checkpoints: %w", err)
	}
	return of, nil
}

func listMembers(ctx context.Context, db pg.Querier, generation int64) ([]Member, error) {
	rows, err := db.Query(ctx, `
SELECT m.member, m.joined_at, extract(epoch FROM clock_timestamp() - m.seen_at)::float8,
    (SELECT count(*) FROM export.checkpoints c WHERE c.generation = $1 AND c.owner = m.member), m.outcomes::text
FROM export.members m ORDER BY m.joined_at, m.member`, generation)
	if err != nil {
		return nil, fmt.Errorf("list members: %w", readmodel.ExplainOutdatedSchema(err))
	}
	members, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (m Member, err error) {
		var silent float64
		var outcomes *string
		err = r.Scan(&m.Name, &m.JoinedAt, &silent, &m.Partitions, &outcomes)
		m.Outcomes = readmodel.ParseOutcomes(outcomes)
		m.SinceHeartbeat = max(0, time.Duration(silent*float64(time.Second)))
		return m, err
	})
	if err != nil {
		return nil, fmt.Errorf("list members: %w", readmodel.ExplainOutdatedSchema(err))
	}
	return members, nil
}

func countDismissed(ctx context.Context, db pg.Querier, g readmodel.Generation) (n int64, err error) {
	err = db.QueryRow(ctx, readmodel.InSchema(g.Number, selectDismissed), g.Stream.Name, g.Stream.Created).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count dismissed messages: %w", err)
	}
	return n, nil
}
