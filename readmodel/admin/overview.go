package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/projections/engine"
	"accountexport/readmodel"
	"accountexport/readmodel/internal/pg"
)

// Overview is how the read model is doing, as of one moment: no two of its figures are
// from before and after a commit.
type Overview struct {
	Status
	Ledger          LedgerStatus
	PendingErasures []events.UUID       // accounts whose erasure was begun here and is not proven
	ErasedServed    int64               // accounts on the ledger that the live generation serves
	Pause           *engine.Pause       // nil where projecting is not paused
	Building        *BuildStatus        // nil where no generation is being built
	Problems        []readmodel.Problem // on record, and of this generation or of no one partition
	At              time.Time           // this program's clock, before the snapshot was taken
}

// BuildStatus is a generation that is being built.
type BuildStatus struct {
	Number   int64
	Position uint64 // its lowest checkpoint
	Running  bool   // a program builds it; false: it was abandoned
}

// ReadOverview reads the overview in one snapshot of the database.
func ReadOverview(ctx context.Context, pool *pgxpool.Pool) (s Overview, err error) {
	tx, err := pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return s, fmt.Errorf("look at the read model: %w", err)
	}
	defer func() { _ = tx.Rollback(ctx) }() // there is nothing to commit
	s.At = time.Now()
	if s.Status, err = ReadStatus(ctx, tx); err != nil {
		return s, err
	}
	if s.Ledger, err = ReadLedgerStatus(ctx, tx); err != nil {
		return s, err
	}
	owed, err := PendingErasures(ctx, tx, false)
	if err != nil {
		return s, err
	}
	for _, o := range owed {
		if !o.Redo {
			s.PendingErasures = append(s.PendingErasures, o.Account)
		}
	}
	if s.ErasedServed, err = CountErasedServed(ctx, tx); err != nil {
		return s, err
	}
	if s.Pause, err = readmodel.FindPause(ctx, tx); err != nil {
		return s, err
	}
	if s.Building, err = readBuildStatus(ctx, tx); err != nil {
		return s, err
	}
	s.Problems, err = readmodel.ListProblems(ctx, tx)
	s.Problems = slices.DeleteFunc(s.Problems, func(p readmodel.Problem) bool {
		return p.Partition != readmodel.NoPartition && p.Generation != s.Generation.Number // of a partition that is not projected any more
	})
	return s, err
}

func readBuildStatus(ctx context.Context, db pg.Querier) (*BuildStatus, error) {
	g, err := readmodel.BuildingGeneration(ctx, db)
	if errors.Is(err, readmodel.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	b := &BuildStatus{Number: g.Number}
	if b.Position, err = readmodel.LowestPosition(ctx, db, g.Number); err != nil {
		return nil, err
	}
	b.Running, err = RebuildRunning(ctx, db)
	return b, err
}
