package readmodel

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/projections/engine"
)

// pausedCode is the SQLSTATE of export.stand_still.
const pausedCode = "AE003"

// standStillWithin is how long whoever holds a checkpoint is waited for.
const standStillWithin = 30 * time.Second

// StandStill pauses projecting: once it has returned, no checkpoint of any
// generation moves, whichever program would move it, until [GoOn]. It waits for
// the transactions at hand. Where it is paused already, since when and by whom
// stays, and so does the note unless there is another one. On an error nothing
// has changed.
func StandStill(ctx context.Context, pool *pgxpool.Pool, by, note string) (p engine.Pause, already bool, err error) {
	began := time.Now()
	for {
		err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			p, already, err = standStill(ctx, tx, by, note)
			return err
		})
		// What holds it up may be cut off by its successor, or stand in a circle
		// with this.
		var pg *pgconn.PgError
		if !errors.As(err, &pg) || pg.Code != "55P03" && pg.Code != "40P01" && pg.Code != "40001" {
			break
		}
		if time.Since(began) > standStillWithin {
			err = fmt.Errorf("somebody's transaction, or a cut-over, has held the checkpoints for %v; run the same command again: %w",
				standStillWithin, err)
			break
		}
	}
	if err != nil {
		return p, false, fmt.Errorf("pause, nothing was changed: %w", beforePause(err))
	}
	notifyAfter(ctx, pool, changed)
	return p, already, nil
}

func standStill(ctx context.Context, tx pgx.Tx, by, note string) (p engine.Pause, already bool, err error) {
	if _, err := tx.Exec(ctx, `SELECT set_config('lock_timeout', $1, true)`, milliseconds(standStillWithin)); err != nil {
		return p, false, err
	}
	// Before any checkpoint, as cut-overs do.
	if _, err := tx.Exec(ctx, `SELECT FROM export.generations ORDER BY generation FOR SHARE`); err != nil {
		return p, false, err
	}
	err = tx.QueryRow(ctx, `
INSERT INTO export.pause AS p (paused_by, note) VALUES ($1, $2)
ON CONFLICT (only_one) DO UPDATE SET note = coalesce(nullif(excluded.note, ''), p.note)
RETURNING paused_at, paused_by, note, xmax <> 0`, by, note).Scan(&p.Since, &p.By, &p.Note, &already)
	if err != nil {
		return p, false, err
	}
	// Whoever has moved one and is not through yet holds it. Who comes later
	// finds the row.
	if _, err := tx.Exec(ctx, `SELECT FROM export.checkpoints ORDER BY generation, partition FOR UPDATE`); err != nil {
		return p, false, err
	}
	return p, already, nil
}

// GoOn ends the pause, and says which it was; nil where there was none.
func GoOn(ctx context.Context, pool *pgxpool.Pool) (was *engine.Pause, err error) {
	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		was = &engine.Pause{}
		err := tx.QueryRow(ctx, `DELETE FROM export.pause RETURNING paused_at, paused_by, note`).Scan(&was.Since, &was.By, &was.Note)
		if errors.Is(err, pgx.ErrNoRows) {
			was = nil
			return nil
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("resume: %w", beforePause(err))
	}
	notifyAfter(ctx, pool, changed)
	return was, nil
}

// FindPause is the pause there is, and how far the live generation stands; nil
// where projecting is not paused.
func FindPause(ctx context.Context, db querier) (*engine.Pause, error) {
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
		return nil, fmt.Errorf("look whether projecting is paused: %w", beforePause(err))
	}
	if asOf != nil {
		p.AsOf = *asOf
	}
	return p, nil
}

// CheckPaused is [engine.ErrPaused], with what ends it, while projecting is
// paused.
func CheckPaused(ctx context.Context, db querier) error {
	p, err := FindPause(ctx, db)
	if err != nil || p == nil {
		return err
	}
	return p.Err()
}

// beforePause says what to do where the database knows of no pause yet.
func beforePause(err error) error {
	if dropped(err) {
		return fmt.Errorf("the database's schema is older than this program: `projector provision` brings it up to date: %w", err)
	}
	return err
}

// Paused implements [engine.Store].
func (s *Store) Paused(ctx context.Context) (*engine.Pause, error) {
	if s.members != nil {
		s.members.keep(s.Takeover)
		attended, end := s.members.attended(ctx)
		err := s.members.beat(attended)
		if cause := context.Cause(attended); err != nil && errors.Is(cause, errSilent) {
			err = cause
		}
		if end(); err != nil {
			return nil, err
		}
	}
	var p *engine.Pause
	err := s.patience.with(ctx, func(ctx context.Context) (err error) {
		p, err = FindPause(ctx, s.pool)
		return err
	})
	return p, err
}

// beat tells the others that this replica lives, and makes it a member where it
// is none, without a part in anything.
func (m *membership) beat(ctx context.Context) error {
	t, err := m.tell(ctx, 0, false)
	if err != nil || t.member {
		return err
	}
	conn, err := m.connected(ctx)
	if err != nil {
		return err
	}
	if err := m.enter(ctx, conn); err != nil {
		return err
	}
	m.joined = true
	return nil
}
