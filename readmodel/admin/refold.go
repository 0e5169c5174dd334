package admin

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/projections"
	"accountexport/projections/engine"
	"accountexport/readmodel"
	"accountexport/readmodel/internal/pg"
)

// ReadAccount calls each with an account's messages after a position, up to and
// including another one, in stream order.
type ReadAccount func(ctx context.Context, account events.UUID, after, upTo uint64, each func(projections.Message) error) error

// RefoldResult is what became of accounts that were to be refolded.
type RefoldResult struct {
	Changed []events.UUID    // whose stored data is another than before
	Skipped []SkippedAccount // that were left as they are
}

// RefoldAccounts replaces what the live generation holds of some accounts with
// folds of their messages up to the checkpoints of their partitions, in one
// transaction a partition. It is safe beside the live projector: the
// checkpoint's row is locked, so nothing is committed for the partition
// meanwhile, and its epoch is moved on, so that a projector with an account in its
// memory is fenced and loads it anew. A row that was lost is made again. Cut off, it
// leaves each partition either replaced or as it was, and can be repeated.
//
// The lock is held for as short a time as possible: before it is taken, messages are
// read and folded, the rows are brought into the database and compared with those that
// are stored. Under it only what differs is written, and what the projector has
// committed since is read, folded and compared. Where exactly this is stored already,
// no lock is taken and no projector fenced. What an operator changes by hand between
// the comparison and the lock, in tables beside the account's row, is not seen.
// [accountexport/readmodel.ErrNotFound] where neither a row nor the stream knows an
// account.
//
// An account that would lose data by it is left as it is, unless acceptLoss is set
// and the stream holds any message of it; one that is erased always is. So is one
// whose own messages or rows cannot be read.
func RefoldAccounts(ctx context.Context, pool *pgxpool.Pool, accounts []events.UUID, acceptLoss bool, read ReadAccount) (result RefoldResult, err error) {
	g, err := refoldableGeneration(ctx, pool)
	if err != nil {
		return result, err
	}
	if err := readmodel.EnsureCountColumns(ctx, pool, g); err != nil {
		return result, err
	}
	byPartition, err := partitionsOf(ctx, pool, g, accounts)
	if err != nil {
		return result, err
	}
	for partition, ids := range byPartition {
		sortAccounts(ids)
		s := &accountRefold{generation: g, partition: partition, read: read, acceptLoss: acceptLoss, folds: map[events.UUID]*accountFold{}}
		partial, err := s.refold(ctx, pool, ids)
		s.close()
		result.Changed, result.Skipped = append(result.Changed, partial.Changed...), append(result.Skipped, partial.Skipped...)
		if err != nil {
			return result, err
		}
	}
	return result, nil
}

// partitionsOf groups accounts by the partition that their rows name.
func partitionsOf(ctx context.Context, pool *pgxpool.Pool, g readmodel.Generation, accounts []events.UUID) (map[int][]events.UUID, error) {
	rows, err := pool.Query(ctx, readmodel.InSchema(g.Number, `SELECT account_id, partition FROM {schema}.account_export WHERE account_id = ANY($1)`), uuids(accounts))
	if err != nil {
		return nil, fmt.Errorf("find partitions of accounts: %w", err)
	}
	known := map[events.UUID]int{}
	var id [16]byte
	var partition int
	if _, err := pgx.ForEachRow(rows, []any{&id, &partition}, func() error {
		known[id] = partition
		return nil
	}); err != nil {
		return nil, fmt.Errorf("find partitions of accounts: %w", err)
	}
	out := map[int][]events.UUID{}
	for _, id := range accounts {
		partition, hasRow := known[id]
		switch {
		case hasRow:
		case g.Stream.Partitions > 0: // its row may be lost, and the stream still have its messages
			partition = partitionOf(g, events.AccountSubject(id))
		default:
			return nil, fmt.Errorf("account %s: %w", id, readmodel.ErrNotFound)
		}
		out[partition] = append(out[partition], id)
	}
	return out, nil
}

// partitionOf is the partition of a subject in the stream of a generation.
func partitionOf(g readmodel.Generation, subject string) int {
	return g.Stream.PartitionOf(&projections.Message{Message: events.Message{Subject: subject}})
}

// refoldableGeneration is the live generation, refused where this program may not
// write folds into it.
func refoldableGeneration(ctx context.Context, db pg.Querier) (readmodel.Generation, error) {
	g, err := readmodel.LiveGeneration(ctx, db)
	if err != nil {
		return g, err
	}
	if g.Major != projections.VersionMajor || g.Minor > projections.VersionMinor {
		return g, fmt.Errorf("%w: %w: generation %d was folded by projection version %s, and this program is %d.%d: `projector rebuild` instead",
			engine.ErrRefused, engine.ErrVersion, g.Number, g.Version(), projections.VersionMajor, projections.VersionMinor)
	}
	gone, err := historyGone(ctx, db, g.Number)
	if gone {
		err = fmt.Errorf("%w, as was accepted: a refold would lose what is stored; `projector rebuild` makes a generation of what there is", ErrHistoryGone)
	}
	return g, err
}

// SkippedAccount is an account that was left as it is.
type SkippedAccount struct {
	Account events.UUID
	Err     error // [ErrDataLoss] or [ErrUnfoldable]
}

// ErrDataLoss means that an account was left as it is, since a fold of the messages
// that the stream still holds of it would lose what its row was made of.
var ErrDataLoss = errors.New("the stream no longer holds all that the row was made of")

// ErrUnfoldable means that one account's messages or rows are at fault, and not a
// server: others can be refolded.
var ErrUnfoldable = errors.New("the account cannot be refolded")
