package admin

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/projections/engine"
	"accountexport/readmodel"
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
	Mean     uint64 // of its checkpoints: how much of the stream is folded where partitions are folded one after another
	Running  bool   // a program builds it; false: it was abandoned
}

// ReadOverview reads the overview in one snapshot of the database, with five statements,
// none of which scans accounts: what they cost grows with the ledger of erasures and the
// parked messages. The error is [accountexport/readmodel.ErrNoGeneration] where nothing
// was projected yet.
func ReadOverview(ctx context.Context, pool *pgxpool.Pool) (s Overview, err error) {
	tx, err := pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return s, fmt.Errorf("look at the read model: %w", err)
	}
	defer func() { _ = tx.Rollback(ctx) }() // there is nothing to commit
	s.At = time.Now()
	live, building, err := readmodel.LiveAndBuilding(ctx, tx)
	if err != nil {
		return s, err
	}
	s.Generation = live
	generations := []int64{live.Number}
	if building != nil {
		s.Building = &BuildStatus{Number: building.Number}
		generations = append(generations, building.Number)
	}
	partitions, err := readPartitions(ctx, tx, generations...)
	if err != nil {
		return s, err
	}
	s.Partitions = partitions[live.Number]
	if building != nil && len(partitions[building.Number]) > 0 {
		s.Building.Position = lowest(partitions[building.Number]).Position
		for _, p := range partitions[building.Number] {
			s.Building.Mean += p.Position
		}
		s.Building.Mean /= uint64(len(partitions[building.Number]))
	}
	if s.Members, err = listMembers(ctx, tx, live.Number); err != nil {
		return s, err
	}
	if err := s.readFigures(ctx, tx); err != nil {
		return s, err
	}
	s.Problems, err = readmodel.ListProblems(ctx, tx)
	s.Problems = slices.DeleteFunc(s.Problems, func(p readmodel.Problem) bool {
		return p.Partition != readmodel.NoPartition && p.Generation != s.Generation.Number // of a partition that is not projected any more
	})
	return s, err
}

// lowest is the checkpoint that is the furthest behind.
func lowest(partitions []PartitionStatus) engine.Checkpoint {
	return slices.MinFunc(partitions, func(a, b PartitionStatus) int {
		return cmp.Or(cmp.Compare(a.Position, b.Position), a.AsOf.Compare(b.AsOf))
	}).Checkpoint
}

// selectErasedServed counts the accounts on the ledger that are served. Each entry is looked
// for in the index of tombstones, which is short and takes no look at the account, and only
// one that lacks a tombstone among the accounts, by the key. None of it is a join, which
// might read all accounts; and the first part is materialized, so that the second is not
// asked first.
const selectErasedServed = `
WITH bare AS MATERIALIZED (
    SELECT e.account_id FROM export.erasures e
    WHERE (SELECT true FROM {schema}.account_export t WHERE t.account_id = e.account_id AND t.erased_at IS NOT NULL) IS NULL)
SELECT count(*) FROM bare
WHERE (SELECT a.erased_at IS NULL FROM {schema}.account_export a WHERE a.account_id = bare.account_id)`

// readFigures reads what is one row in one statement. The generations and the
// checkpoints are those of the same snapshot.
func (s *Overview) readFigures(ctx context.Context, tx pgx.Tx) error {
	var (
		parked          int64
		age             float64
		since           *time.Time
		by, note        *string
		begun           [][16]byte
		building, works = s.Building != nil, false
	)
	err := tx.QueryRow(ctx, readmodel.InSchema(s.Generation.Number, `
SELECT c.accounts, c.parked, c.dismissed, l.erasures, l.exported_at, l.age, p.paused_at, p.paused_by, p.note,
    ARRAY(SELECT account_id FROM export.erasures_owed WHERE NOT anew ORDER BY account_id),
    (`+selectErasedServed+`),
    CASE WHEN $3 THEN (`+selectRebuildRunning+`) ELSE false END
FROM (`+selectCounts+`) c CROSS JOIN (`+selectLedgerStatus+`) l LEFT JOIN export.pause p ON true`),
		s.Generation.Stream.Name, s.Generation.Stream.Created, building).
		Scan(&s.Accounts, &parked, &s.Dismissed, &s.Ledger.Erasures, &s.Ledger.Exported, &age, &since, &by, &note, &begun, &s.ErasedServed, &works)
	if err != nil {
		return fmt.Errorf("look at the read model: %w", readmodel.ExplainOutdatedSchema(err))
	}
	s.Parked = parked - s.Dismissed
	s.Ledger.Age = max(0, time.Duration(age*float64(time.Second)))
	for _, account := range begun {
		s.PendingErasures = append(s.PendingErasures, account)
	}
	if building {
		s.Building.Running = works
	}
	if since != nil {
		s.Pause = &engine.Pause{Since: *since, By: *by, Note: *note}
		if len(s.Partitions) > 0 {
			at := lowest(s.Partitions)
			s.Pause.Generation, s.Pause.Lowest, s.Pause.AsOf = s.Generation.Number, at.Position, at.AsOf
		}
	}
	return nil
}
