package admin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/projections/engine"
	"accountexport/readmodel"
	"accountexport/readmodel/internal/pg"
)

// Survey is all that there is to say of how the read model is doing, as of one
// moment: no two of its figures are of before and after a commit.
type Survey struct {
	Status
	Ledger     Ledger
	Unfinished []events.UUID // accounts whose erasure was begun here and is not proven
	Served     int64         // accounts on the ledger that the live generation has as alive
	Pause      *engine.Pause // nil where projecting goes on
	Building   *Unbuilt      // nil where no generation is being built
	At         time.Time     // this program's clock, before it was read
}

// Unbuilt is a generation that is being built.
type Unbuilt struct {
	Number   int64
	Position uint64 // its lowest checkpoint
	AtWork   bool   // whether anybody builds it; false: it was abandoned
}

// LookAround reads the survey in one snapshot of the database.
func LookAround(ctx context.Context, pool *pgxpool.Pool) (s Survey, err error) {
	tx, err := pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return s, fmt.Errorf("look at the read model: %w", err)
	}
	defer func() { _ = tx.Rollback(ctx) }() // it has changed nothing
	s.At = time.Now()
	if s.Status, err = Inspect(ctx, tx); err != nil {
		return s, err
	}
	if s.Ledger, err = LookAtLedger(ctx, tx); err != nil {
		return s, err
	}
	owed, err := OwedErasures(ctx, tx, false)
	if err != nil {
		return s, err
	}
	for _, o := range owed {
		if !o.Anew {
			s.Unfinished = append(s.Unfinished, o.Account)
		}
	}
	if s.Served, err = ServedThoughErased(ctx, tx); err != nil {
		return s, err
	}
	if s.Pause, err = readmodel.FindPause(ctx, tx); err != nil {
		return s, err
	}
	s.Building, err = unbuilt(ctx, tx)
	return s, err
}

func unbuilt(ctx context.Context, db pg.Querier) (*Unbuilt, error) {
	g, err := readmodel.Building(ctx, db)
	if errors.Is(err, readmodel.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	b := &Unbuilt{Number: g.Number}
	if b.Position, err = readmodel.Lowest(ctx, db, g.Number); err != nil {
		return nil, err
	}
	b.AtWork, err = AtWork(ctx, db)
	return b, err
}
