package readmodel

import (
	"context"
	_ "embed"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"accountexport/projections"
	"accountexport/projections/engine"
	"accountexport/readmodel/internal/pg"
)

// States of a generation.
const (
	StateBuilding = "building"
	StateLive     = "live"
	StateRetired  = "retired"
	StateFailed   = "failed"
)

// Generation is one folding of the stream into tables of its own.
type Generation struct {
	Number        int64
	State         string // building, live, retired or failed
	Major, Minor  int    // projection version
	RefoldedMinor int    // minor version that has tried what was parked
	Stream        engine.StreamIdentity
	Partitions    int
	Format        int // of storage
	History       int // goes up where positions came to mean other messages
	Started       time.Time
	Finished      *time.Time
}

// Storage formats. A generation keeps the one that it was made in.
const (
	// FormatPlain is the first one. Its rows have a count and a digest where
	// this program has written them from the account's first message on, or
	// verified them.
	FormatPlain = 1
	// FormatCounted has them in every row; no older program writes it.
	FormatCounted = 2
	// FormatCurrent is the one of new generations. All up to it are written.
	FormatCurrent = FormatCounted
)

// Version is the generation's projection version.
func (g Generation) Version() string { return fmt.Sprintf("%d.%d", g.Major, g.Minor) }

// LiveGeneration is the generation that is served; [ErrNoGeneration] where there is none.
func LiveGeneration(ctx context.Context, db pg.Querier) (Generation, error) {
	all, err := SelectGenerations(ctx, db, `WHERE state = 'live'`)
	if pg.IsUndefinedColumn(err) {
		return Generation{}, fmt.Errorf("the database's schema is older than this program: `projector provision` brings it up to date: %w", err)
	}
	if pg.IsUndefinedTable(err) {
		return Generation{}, fmt.Errorf("the database has no schema of ours: `projector provision` makes it: %w", err)
	}
	if err != nil {
		return Generation{}, err
	}
	if len(all) == 0 {
		return Generation{}, ErrNoGeneration
	}
	return all[0], nil
}

// SelectGenerations reads those that a condition holds for, in order.
func SelectGenerations(ctx context.Context, db pg.Querier, where string, args ...any) ([]Generation, error) {
	rows, err := db.Query(ctx, `
SELECT generation, state, version_major, version_minor, refolded_minor, stream_name, stream_created, coalesce(stream_id, ''), partitions, format, history, started_at, finished_at
FROM export.generations `+where+` ORDER BY generation`, args...)
	if err != nil {
		return nil, fmt.Errorf("read generations: %w", err)
	}
	out, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (g Generation, err error) {
		err = r.Scan(&g.Number, &g.State, &g.Major, &g.Minor, &g.RefoldedMinor, &g.Stream.Name, &g.Stream.Created, &g.Stream.ID, &g.Partitions, &g.Format, &g.History,
			&g.Started, &g.Finished)
		g.Stream.Partitions = g.Partitions
		return g, err
	})
	if err != nil {
		return nil, fmt.Errorf("read generations: %w", err)
	}
	return out, nil
}

// createGeneration makes the tables of a new generation, with a checkpoint at
// 0 for each partition of the stream.
func CreateGeneration(ctx context.Context, tx pgx.Tx, stream engine.StreamInfo, state string) (Generation, error) {
	g := Generation{State: state, Major: projections.VersionMajor, Minor: projections.VersionMinor, RefoldedMinor: projections.VersionMinor, Format: FormatCurrent,
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

// CheckCompatible refuses to go on with a generation that this program, on this
// stream, would fold differently.
func (g Generation) CheckCompatible(stream engine.StreamInfo) error {
	switch {
	case g.Format > FormatCurrent:
		return fmt.Errorf("%w: %w: generation %d is in storage format %d, and this program writes %d: run the newer program",
			engine.ErrRefused, engine.ErrVersion, g.Number, g.Format, FormatCurrent)
	case g.Major != projections.VersionMajor || g.Minor > projections.VersionMinor:
		return fmt.Errorf("%w: %w: generation %d was folded by projection version %s, and this program is %d.%d: "+
			"run the program that made it, or `projector rebuild`", engine.ErrRefused, engine.ErrVersion, g.Number, g.Version(),
			projections.VersionMajor, projections.VersionMinor)
	}
	// Another stream with another number is another stream above all, and the
	// guard says so.
	if !g.FoldedFrom(stream) {
		return nil
	}
	if err := engine.CheckPartitions(stream.Name, stream.Partitions, g.Partitions); err != nil {
		return fmt.Errorf("%w: %w", engine.ErrRefused, err)
	}
	return nil
}

func Schema(generation int64) string { return fmt.Sprintf("export_g%d", generation) }

func InSchema(generation int64, sql string) string {
	return strings.ReplaceAll(sql, "{schema}", Schema(generation))
}

//go:embed generation.sql
var generationSQL string

// RollingBack tells whether a roll-back was bringing the generation to the end.
func (g Generation) RollingBack() bool { return g.State == StateBuilding && g.Finished != nil }

// onStream tells whether the generation was folded from the stream, as far as a
// stream says who it is.
func (g Generation) FoldedFrom(stream engine.StreamInfo) bool {
	return g.Stream.Name == stream.Name && g.Stream.Created.Equal(stream.Created.Truncate(time.Microsecond)) &&
		(g.Stream.ID == "" || stream.ID == "" || g.Stream.ID == stream.ID)
}

// learn notes the stream's id for a generation that was folded before it had
// one.
func (g *Generation) LearnStream(ctx context.Context, tx pgx.Tx, stream engine.StreamInfo) error {
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
