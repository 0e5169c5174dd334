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

// OpenRebuildPool is a pool for building, by the link's way: see [accountexport/readmodel/connect.Connector.OpenPool].
func OpenRebuildPool(ctx context.Context, url string, link *connect.Connector, log *slog.Logger) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	cfg.ConnConfig.RuntimeParams["application_name"] = "accountexport rebuild"
	cfg.AfterConnect = link.AfterConnect
	return link.OpenPool(ctx, cfg, connect.PoolSizing{Max: int(cfg.MaxConns), Min: 2, Extra: 1, Explicit: strings.Contains(url, "pool_max_conns")}, log)
}

// NewBuilder writes a generation beside the live one: the one that is being
// built, or a new one where there is none that this program can go on with.
// One builder works at a time.
func NewBuilder(pool *pgxpool.Pool, owner string, restart bool, log *slog.Logger) *Store {
	s := &Store{pool: pool, owner: owner, log: log, role: "rebuild", copies: true}
	s.choose = func(ctx context.Context, tx pgx.Tx, stream engine.StreamInfo) (readmodel.Generation, error) {
		return building(ctx, tx, stream, restart && s.Acquired() == 0) // once
	}
	return s
}

func building(ctx context.Context, tx pgx.Tx, stream engine.StreamInfo, restart bool) (readmodel.Generation, error) {
	all, err := readmodel.SelectGenerations(ctx, tx, `WHERE state = 'building'`)
	if err != nil {
		return readmodel.Generation{}, err
	}
	for _, g := range all {
		if g.RollingBack() { // and was cut off
			if err := readmodel.SetGenerationState(ctx, tx, g.Number, readmodel.StateRetired); err != nil {
				return g, err
			}
			continue
		}
		// What lay before the fold's start cannot be known to be the same.
		same := g.FoldedFrom(stream) &&
			g.Major == projections.VersionMajor && g.Minor == projections.VersionMinor && g.Partitions == stream.Partitions && g.Format == readmodel.FormatCurrent
		if same && !restart {
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
	return &Store{pool: pool, owner: owner, log: log, role: "rebuild",
		choose: func(ctx context.Context, tx pgx.Tx, stream engine.StreamInfo) (readmodel.Generation, error) {
			g, err := readmodel.FindGeneration(ctx, tx, generation)
			if err != nil {
				return g, err
			}
			if g.State != readmodel.StateRetired && g.State != readmodel.StateBuilding {
				return g, fmt.Errorf("%w: generation %d is %s, not retired", engine.ErrRefused, generation, g.State)
			}
			if g.State == readmodel.StateBuilding { // whoever cuts over to it holds its row
				return g, nil
			}
			return g, readmodel.SetGenerationState(ctx, tx, generation, readmodel.StateBuilding)
		}}
}
