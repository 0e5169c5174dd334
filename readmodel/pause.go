package readmodel

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"accountexport/projections/engine"
	"accountexport/readmodel/internal/pg"
)

// FindPause is the pause that is in force, with how far the live generation stands;
// nil where projecting is not paused.
func FindPause(ctx context.Context, db pg.Querier) (*engine.Pause, error) {
	p := &engine.Pause{}
	var asOf *time.Time
	err := db.QueryRow(ctx, `
SELECT p.paused_at, p.paused_by, p.note, coalesce(c.generation, 0), coalesce(c.position, 0), c.as_of
FROM export.pause p LEFT JOIN LATERAL (
    SELECT c.generation, c.position, c.as_of FROM export.checkpoints c JOIN export.generations g USING (generation)
    WHERE g.state = 'live' ORDER BY c.position, c.as_of LIMIT 1) c ON true`).Scan(&p.Since, &p.By, &p.Note, &p.Generation, &p.Lowest, &asOf)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look whether projecting is paused: %w", ExplainOutdatedSchema(err))
	}
	if asOf != nil {
		p.AsOf = *asOf
	}
	return p, nil
}

// CheckPaused is an [engine.ErrPaused], which says what ends the pause, while
// projecting is paused.
func CheckPaused(ctx context.Context, db pg.Querier) error {
	p, err := FindPause(ctx, db)
	if err != nil || p == nil {
		return err
	}
	return p.Err()
}
