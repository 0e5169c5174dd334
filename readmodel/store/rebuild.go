package store

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/projections"
	"accountexport/projections/engine"
	"accountexport/readmodel"
	"accountexport/readmodel/connect"
)

// OpenRebuildPool opens a pool for a rebuild, as the connector finds room for one: see
// [accountexport/readmodel/connect.Connector.OpenPool].
func OpenRebuildPool(ctx context.Context, url string, connector *connect.Connector, log *slog.Logger) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	cfg.ConnConfig.RuntimeParams["application_name"] = "accountexport rebuild"
	cfg.ConnConfig.Tracer = connector.Pool.Tracer
	cfg.AfterConnect = connector.AfterConnect
	connect.LimitHosts(cfg.ConnConfig)
	return connector.OpenPool(ctx, cfg, connect.PoolSizing{Max: int(cfg.MaxConns), Min: 2, Extra: 1, Explicit: strings.Contains(url, "pool_max_conns")}, log)
}

// NewBuilder writes a generation beside the live one: the one that is being
// built, or a new one where there is none that this program can go on with, or
// restart is set. One builder works at a time; others wait in Acquire.
func NewBuilder(pool *pgxpool.Pool, owner string, restart bool, log *slog.Logger) *Store {
	s := &Store{pool: pool, owner: owner, log: log, lockRole: "rebuild"}
	s.chooseGeneration = func(ctx context.Context, tx pgx.Tx, stream engine.StreamInfo) (readmodel.Generation, error) {
		return chooseBuilding(ctx, tx, stream, restart && s.Acquired() == 0) // what this store has begun is not begun anew
	}
	return s
}

// NewWorker writes some partitions of a generation that another program, the leader,
// builds. It takes them from the leader alone, which has to have acquired the generation,
// and takes them back by acquiring it again. Where the generation is built no longer, or
// by another leader, Acquire ends with [engine.ErrFenced].
func NewWorker(pool *pgxpool.Pool, owner, leader string, generation int64, partitions []int, log *slog.Logger) *Store {
	return &Store{pool: pool, owner: owner, log: log, leader: leader, share: partitions,
		chooseGeneration: func(ctx context.Context, tx pgx.Tx, _ engine.StreamInfo) (readmodel.Generation, error) {
			g, err := readmodel.FindGeneration(ctx, tx, generation)
			if err == nil && g.State != readmodel.StateBuilding {
				err = fmt.Errorf("%w: generation %d is %s", engine.ErrFenced, generation, g.State)
			}
			return g, err
		}}
}

func chooseBuilding(ctx context.Context, tx pgx.Tx, stream engine.StreamInfo, restart bool) (readmodel.Generation, error) {
	all, err := readmodel.SelectGenerations(ctx, tx, `WHERE state = 'building'`)
	if err != nil {
		return readmodel.Generation{}, err
	}
	for _, g := range all {
		if g.RollingBack() { // a roll-back that was cut off
			if err := readmodel.SetGenerationState(ctx, tx, g.Number, readmodel.StateRetired); err != nil {
				return g, err
			}
			continue
		}
		// A generation is resumed only where everything before its checkpoints is known to be
		// the same.
		resumable := g.FoldedFrom(stream) &&
			g.Major == projections.VersionMajor && g.Minor == projections.VersionMinor && g.Partitions == stream.Partitions && g.Format == readmodel.FormatCurrent
		if resumable && !restart {
			return g, nil
		}
		if err := readmodel.SetGenerationState(ctx, tx, g.Number, readmodel.StateFailed); err != nil {
			return g, err
		}
	}
	return readmodel.CreateGeneration(ctx, tx, stream, readmodel.StateBuilding)
}

// NewRollback writes a retired generation again, to bring it to the stream's
// end before a roll-back. Until then its state is building.
func NewRollback(pool *pgxpool.Pool, owner string, generation int64, log *slog.Logger) *Store {
	return &Store{pool: pool, owner: owner, log: log, lockRole: "rebuild",
		chooseGeneration: func(ctx context.Context, tx pgx.Tx, stream engine.StreamInfo) (readmodel.Generation, error) {
			g, err := readmodel.FindGeneration(ctx, tx, generation)
			if err != nil {
				return g, err
			}
			if g.State != readmodel.StateRetired && g.State != readmodel.StateBuilding {
				return g, fmt.Errorf("%w: generation %d is %s, not retired", engine.ErrRefused, generation, g.State)
			}
			if g.State == readmodel.StateBuilding { // the cut-over in progress holds its row: setting its state would wait for it
				return g, nil
			}
			return g, readmodel.SetGenerationState(ctx, tx, generation, readmodel.StateBuilding)
		}}
}
