package readmodel

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"accountexport/readmodel/internal/pg"
)

// ProblemDB is a pool or a connection.
type ProblemDB interface {
	pg.Querier
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// NoteProblems puts problems on record, in one statement: each in the place of the one
// of its class and partition that was there. So however many processes note however
// much, there is one row for each class and partition.
//
// What a replica notes of a partition that it does not own any more is left out: its
// successor may have mended that already. So is what the checkpoint has passed, as where
// a commit was stored although its answer was lost, and what is of a generation that is
// not live. A replica that refuses has no errors any more that it could begin again after.
func NoteProblems(ctx context.Context, db ProblemDB, replica string, problems ...Problem) error {
	n := len(problems)
	classes, reasons, messages, types := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	partitions := make([]int32, n)
	generations, positions, untils := make([]int64, n), make([]int64, n), make([]int64, n)
	for i, p := range problems {
		classes[i], reasons[i], messages[i], types[i] = string(p.Class), p.Reason, p.Message, p.EventType
		partitions[i], generations[i], positions[i], untils[i] = int32(p.Partition), p.Generation, int64(p.Position), int64(p.Until)
	}
	// Rows are locked in the order of the key, here and in ClearProblems, so that no two
	// writers wait for each other. Errors come before refusals.
	_, err := db.Exec(ctx, `
WITH own AS MATERIALIZED (
    SELECT class, partition FROM export.problems WHERE class = 'error' AND replica = $9 AND 'refused' = ANY($1::text[])
    ORDER BY class, partition FOR UPDATE),
superseded AS (
    DELETE FROM export.problems p USING own WHERE (p.class, p.partition) = (own.class, own.partition) RETURNING 1)
INSERT INTO export.problems AS p (class, partition, reason, message, generation, position, last_position, event_type, replica)
SELECT n.class, n.partition, n.reason, n.message, n.generation, n.position, n.until, n.type, $9
FROM unnest($1::text[], $2::integer[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[], $8::text[])
    AS n (class, partition, reason, message, generation, position, until, type)
WHERE (SELECT count(*) FROM superseded) >= 0 AND (n.partition = -1 OR EXISTS (
    SELECT FROM export.checkpoints c JOIN export.generations g USING (generation)
    WHERE c.generation = n.generation AND c.partition = n.partition AND c.owner = $9 AND g.state = 'live'
        AND (n.until = 0 OR c.position < n.until)))
ORDER BY n.class, n.partition
ON CONFLICT (class, partition) DO UPDATE SET
    reason = excluded.reason, message = excluded.message, generation = excluded.generation, position = excluded.position,
    last_position = excluded.last_position, event_type = excluded.event_type, replica = excluded.replica, noted_at = excluded.noted_at,
    first_at = CASE WHEN p.reason = excluded.reason AND p.generation = excluded.generation THEN p.first_at ELSE excluded.first_at END,
    times = CASE WHEN p.reason = excluded.reason AND p.generation = excluded.generation THEN p.times ELSE 0 END + 1`,
		classes, partitions, reasons, messages, generations, positions, untils, types, replica)
	if err != nil {
		return fmt.Errorf("note a problem: %w", ExplainOutdatedSchema(err))
	}
	return nil
}

// ClearProblems removes problems that are over, as they were listed. One that was noted
// again since stays.
func ClearProblems(ctx context.Context, db ProblemDB, over ...Problem) error {
	classes, partitions, noted := make([]string, len(over)), make([]int32, len(over)), make([]time.Time, len(over))
	for i, p := range over {
		classes[i], partitions[i], noted[i] = string(p.Class), int32(p.Partition), p.Noted
	}
	_, err := db.Exec(ctx, `
WITH listed AS MATERIALIZED (
    SELECT class, partition FROM export.problems
    WHERE (class, partition, noted_at) IN (SELECT * FROM unnest($1::text[], $2::integer[], $3::timestamptz[]))
    ORDER BY class, partition FOR UPDATE)
DELETE FROM export.problems p USING listed l WHERE (p.class, p.partition) = (l.class, l.partition)`, classes, partitions, noted)
	if err != nil {
		return fmt.Errorf("remove a problem that is over: %w", ExplainOutdatedSchema(err))
	}
	return nil
}
