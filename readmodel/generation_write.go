package readmodel

import (
	"context"
	_ "embed"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"accountexport/projections"
	"accountexport/projections/engine"
)

// SchemaName is the PostgreSQL schema that has a generation's tables.
func SchemaName(generation int64) string { return fmt.Sprintf("export_g%d", generation) }

// InSchema puts a generation's schema in the place of every {schema} in a statement.
func InSchema(generation int64, sql string) string {
	return strings.ReplaceAll(sql, "{schema}", SchemaName(generation))
}

// generationSQL creates a generation's tables.
//
//go:embed generation.sql
var generationSQL string

// CreateGeneration makes a new generation of the stream in the given state: its row,
// its tables, and a checkpoint at position 0 for each partition. Nothing of it is
// there until tx commits.
func CreateGeneration(ctx context.Context, tx pgx.Tx, stream engine.StreamInfo, state string) (Generation, error) {
	g := Generation{State: state, Major: projections.VersionMajor, Minor: projections.VersionMinor, RefoldedMinor: projections.VersionMinor, Format: FormatCurrent, Segments: true,
		Stream: engine.StreamIdentity{Name: stream.Name, Created: stream.Created, ID: stream.ID, Partitions: stream.Partitions}, Partitions: stream.Partitions}
	err := tx.QueryRow(ctx, `
INSERT INTO export.generations (generation, state, version_major, version_minor, refolded_minor, stream_name, stream_created, partitions, stream_id, format)
SELECT coalesce(max(generation), 0) + 1, $1, $2, $3, $3, $4, $5, $6, nullif($7, ''), $8 FROM export.generations
RETURNING generation, started_at, stream_created`,
		state, g.Major, g.Minor, stream.Name, stream.Created, stream.Partitions, stream.ID, g.Format).
		Scan(&g.Number, &g.Started, &g.Stream.Created)
	if err != nil {
		return g, fmt.Errorf("create generation: %w", err)
	}
	if _, err := tx.Exec(ctx, `SET LOCAL ROLE `+ProjectorRole); err != nil {
		return g, fmt.Errorf("create generation: %w", err)
	}
	// Not every build of PostgreSQL has lz4.
	var compression string
	err = tx.QueryRow(ctx, `
SELECT CASE WHEN 'lz4' = ANY (enumvals) THEN 'lz4' ELSE 'pglz' END FROM pg_settings WHERE name = 'default_toast_compression'`).
		Scan(&compression)
	if err != nil {
		return g, fmt.Errorf("create generation: %w", err)
	}
	ddl := strings.ReplaceAll(InSchema(g.Number, generationSQL), "{compression}", compression)
	if _, err := tx.Exec(ctx, ddl); err != nil {
		return g, fmt.Errorf("create tables of generation %d: %w", g.Number, err)
	}
	_, err = tx.Exec(ctx, `INSERT INTO export.checkpoints (generation, partition) SELECT $1, generate_series(0, $2::integer - 1)`,
		g.Number, stream.Partitions)
	if err != nil {
		return g, fmt.Errorf("create checkpoints of generation %d: %w", g.Number, err)
	}
	return g, nil
}

// SetGenerationState changes a generation's state. The time at which it was finished
// changes with it: it is now where the generation goes live or stops being live;
// otherwise a time that is there stays, and one that is not there is now, unless
// the generation is to be built.
func SetGenerationState(ctx context.Context, tx pgx.Tx, generation int64, state string) error {
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

// RecordStreamID notes the stream's id for a generation that was folded before
// streams had ids, so that a stream that is recreated under the same name is
// recognised. It does nothing where the generation has an id or is of another
// stream.
func (g *Generation) RecordStreamID(ctx context.Context, tx pgx.Tx, stream engine.StreamInfo) error {
	if g.Stream.ID != "" || stream.ID == "" || !g.FoldedFrom(stream) {
		return nil
	}
	_, err := tx.Exec(ctx, `UPDATE export.generations SET stream_id = $2 WHERE generation = $1 AND stream_id IS NULL`, g.Number, stream.ID)
	if err != nil {
		return fmt.Errorf("note the stream's id for generation %d: %w", g.Number, err)
	}
	g.Stream.ID = stream.ID
	return nil
}
