package readmodel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/projections"
	"accountexport/projections/engine"
)

// BuilderPool is a pool for building, by the link's way: see [Link.OpenPool].
func BuilderPool(ctx context.Context, url string, link *Link, log *slog.Logger) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	cfg.ConnConfig.RuntimeParams["application_name"] = "accountexport rebuild"
	cfg.AfterConnect = link.AfterConnect
	return link.OpenPool(ctx, cfg, Claim{Wanted: int(cfg.MaxConns), Least: 2, Beside: 1, Told: strings.Contains(url, "pool_max_conns")}, log)
}

// NewBuilder writes a generation beside the live one: the one that is being
// built, or a new one where there is none that this program can go on with.
// One builder works at a time.
func NewBuilder(pool *pgxpool.Pool, owner string, restart bool, log *slog.Logger) *Store {
	s := &Store{pool: pool, owner: owner, log: log, role: "rebuild", copies: true}
	s.choose = func(ctx context.Context, tx pgx.Tx, stream engine.StreamInfo) (Generation, error) {
		return building(ctx, tx, stream, restart && s.Acquired() == 0) // once
	}
	return s
}

func building(ctx context.Context, tx pgx.Tx, stream engine.StreamInfo, restart bool) (Generation, error) {
	all, err := generations(ctx, tx, `WHERE state = 'building'`)
	if err != nil {
		return Generation{}, err
	}
	for _, g := range all {
		if g.Reviving() { // and was cut off
			if err := setState(ctx, tx, g.Number, StateRetired); err != nil {
				return g, err
			}
			continue
		}
		// What lay before the fold's start cannot be known to be the same.
		same := g.onStream(stream) &&
			g.Major == projections.VersionMajor && g.Minor == projections.VersionMinor && g.Partitions == stream.Partitions && g.Format == FormatWritten
		if same && !restart {
			return g, nil
		}
		if err := setState(ctx, tx, g.Number, StateFailed); err != nil {
			return g, err
		}
	}
	return createGeneration(ctx, tx, stream, StateBuilding)
}

// Reviving tells whether a roll-back was bringing the generation to the end.
func (g Generation) Reviving() bool { return g.State == StateBuilding && g.Finished != nil }

// AtWork tells whether anybody builds, cuts over or rolls back, by the lock that
// whoever does so holds: where there is a generation that is being built and
// nobody at work, it was abandoned.
func AtWork(ctx context.Context, db querier) (atWork bool, err error) {
	err = db.QueryRow(ctx, `
SELECT EXISTS (SELECT FROM pg_locks, (SELECT hashtext('accountexport rebuild')::bigint AS key) k
    WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND classid::bigint = (k.key >> 32) & 4294967295 AND objid::bigint = k.key & 4294967295)`).Scan(&atWork)
	if err != nil {
		return false, fmt.Errorf("look for a rebuild: %w", err)
	}
	return atWork, nil
}

// GiveUp gives up a generation that is being built: whoever builds it is fenced,
// and begins another.
func GiveUp(ctx context.Context, pool *pgxpool.Pool, number int64) error {
	return inTransaction(ctx, pool, func(tx pgx.Tx) error {
		// It may be about to be live.
		if _, err := tx.Exec(ctx, `SELECT FROM export.generations WHERE generation = $1 FOR UPDATE`, number); err != nil {
			return fmt.Errorf("give up generation %d: %w", number, err)
		}
		g, err := FindGeneration(ctx, tx, number)
		if err != nil || g.State != StateBuilding || g.Reviving() {
			return err
		}
		if err := setState(ctx, tx, number, StateFailed); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE export.checkpoints SET epoch = epoch + 1 WHERE generation = $1`, number); err != nil {
			return fmt.Errorf("give up generation %d: %w", number, err)
		}
		return nil
	})
}

// Retire gives up reviving a generation.
func Retire(ctx context.Context, pool *pgxpool.Pool, number int64) error {
	return inTransaction(ctx, pool, func(tx pgx.Tx) error {
		g, err := FindGeneration(ctx, tx, number)
		if err != nil || !g.Reviving() {
			return err
		}
		return setState(ctx, tx, number, StateRetired)
	})
}

// NewReviver writes a retired generation again, to bring it to the stream's
// end before a roll-back. Until then its state is building.
func NewReviver(pool *pgxpool.Pool, owner string, generation int64, log *slog.Logger) *Store {
	return &Store{pool: pool, owner: owner, log: log, role: "rebuild",
		choose: func(ctx context.Context, tx pgx.Tx, stream engine.StreamInfo) (Generation, error) {
			g, err := FindGeneration(ctx, tx, generation)
			if err != nil {
				return g, err
			}
			if g.State != StateRetired && g.State != StateBuilding {
				return g, fmt.Errorf("%w: generation %d is %s, not retired", engine.ErrRefused, generation, g.State)
			}
			if g.State == StateBuilding { // whoever cuts over to it holds its row
				return g, nil
			}
			return g, setState(ctx, tx, generation, StateBuilding)
		}}
}

func setState(ctx context.Context, tx pgx.Tx, generation int64, state string) error {
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

// Generations lists all generations that were not dropped.
func Generations(ctx context.Context, pool *pgxpool.Pool) ([]Generation, error) {
	return generations(ctx, pool, "")
}

// Live is the generation that is served; [ErrNoGeneration] where there is none.
func Live(ctx context.Context, pool *pgxpool.Pool) (Generation, error) {
	return liveGeneration(ctx, pool)
}

// FindGeneration is one generation; [ErrNotFound] where it is not there.
func FindGeneration(ctx context.Context, db querier, number int64) (Generation, error) {
	all, err := generations(ctx, db, "")
	if err != nil {
		return Generation{}, err
	}
	i := slices.IndexFunc(all, func(g Generation) bool { return g.Number == number })
	if i < 0 {
		return Generation{}, fmt.Errorf("generation %d: %w", number, ErrNotFound)
	}
	return all[i], nil
}

// Positions are the checkpoints of a generation, by partition.
func Positions(ctx context.Context, pool *pgxpool.Pool, generation int64) (map[int]uint64, error) {
	rows, err := pool.Query(ctx, `SELECT partition, position FROM export.checkpoints WHERE generation = $1`, generation)
	if err != nil {
		return nil, fmt.Errorf("read checkpoints: %w", err)
	}
	out := map[int]uint64{}
	var partition int
	var position uint64
	if _, err := pgx.ForEachRow(rows, []any{&partition, &position}, func() error {
		out[partition] = position
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read checkpoints: %w", err)
	}
	return out, nil
}

// Mean is the mean checkpoint of a generation.
func Mean(ctx context.Context, pool *pgxpool.Pool, generation int64) (position uint64, err error) {
	err = pool.QueryRow(ctx, `SELECT coalesce(avg(position), 0)::bigint FROM export.checkpoints WHERE generation = $1`, generation).Scan(&position)
	if err != nil {
		return 0, fmt.Errorf("read checkpoints: %w", err)
	}
	return position, nil
}

// Lowest is the lowest checkpoint of a generation.
func Lowest(ctx context.Context, db querier, generation int64) (position uint64, err error) {
	err = db.QueryRow(ctx, `SELECT coalesce(min(position), 0) FROM export.checkpoints WHERE generation = $1`, generation).Scan(&position)
	if err != nil {
		return 0, fmt.Errorf("read checkpoints: %w", err)
	}
	return position, nil
}

// Building is the generation that a rebuild is at work on; [ErrNotFound] where
// there is none.
func Building(ctx context.Context, db querier) (Generation, error) {
	all, err := generations(ctx, db, `WHERE state = 'building' AND finished_at IS NULL`)
	if err != nil {
		return Generation{}, err
	}
	if len(all) == 0 {
		return Generation{}, fmt.Errorf("generation being built: %w", ErrNotFound)
	}
	return all[0], nil
}

// ErrLive means that what is asked for cannot be done to the live generation.
var ErrLive = errors.New("the generation is live")

// Age is how long ago the oldest of a generation's as-of times is.
func Age(ctx context.Context, pool *pgxpool.Pool, generation int64) (time.Duration, error) {
	var seconds float64
	err := pool.QueryRow(ctx, `
SELECT coalesce(extract(epoch FROM now() - min(as_of)), 0)::float8 FROM export.checkpoints WHERE generation = $1`, generation).Scan(&seconds)
	if err != nil {
		return 0, fmt.Errorf("read checkpoints: %w", err)
	}
	return time.Duration(seconds * float64(time.Second)), nil
}
