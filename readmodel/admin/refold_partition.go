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

// accountRefold replaces accounts of one partition.
type accountRefold struct {
	generation readmodel.Generation
	partition  int
	read       ReadAccount
	acceptLoss bool

	// Learned before the lock, and right for as long as the partition's epoch and the
	// accounts' positions are what they were then.
	advance engine.Advance
	folds   map[events.UUID]*accountFold
	stored  map[events.UUID]*storedSum // nil: the account has no row

	result RefoldResult // of the transaction's present attempt
}

// refold replaces the accounts in one transaction, or each by itself where one of them
// cannot be replaced.
func (s *accountRefold) refold(ctx context.Context, pool *pgxpool.Pool, ids []events.UUID) (result RefoldResult, err error) {
	ids, err = s.prepare(ctx, pool, ids)
	if err == nil && len(ids) > 0 {
		err = pg.RetryTx(ctx, pool, func(tx pgx.Tx) error {
			s.result = RefoldResult{}
			return s.replace(ctx, tx, ids)
		})
	}
	switch {
	case err == nil && len(ids) == 0:
		return result, nil
	case err == nil:
		return s.result, nil
	case len(ids) == 1 || !isAccountError(err):
		return skipAccount(ids, fmt.Errorf("refold partition %d: %w", s.partition, readmodel.AsEngineError(err)))
	}
	for i := range ids {
		partial, err := s.refold(ctx, pool, ids[i:i+1])
		result.Changed, result.Skipped = append(result.Changed, partial.Changed...), append(result.Skipped, partial.Skipped...)
		if err != nil {
			return result, err
		}
	}
	return result, nil
}

// skipAccount is what becomes of a single account that cannot be replaced.
func skipAccount(ids []events.UUID, err error) (result RefoldResult, _ error) {
	if !isAccountError(err) {
		return result, err
	}
	result.Skipped = []SkippedAccount{{ids[0], fmt.Errorf("%w: %w", ErrUnfoldable, err)}}
	return result, nil
}

// isAccountError tells whether an error comes of an account's own messages or rows.
// What the server says of its own state, or of transactions beside this one, does
// not.
func isAccountError(err error) bool {
	if errors.Is(err, ErrUnfoldable) {
		return true
	}
	code := pg.Code(err)
	if len(code) != 5 {
		return false
	}
	switch code[:2] {
	case "21", "22", "23", "54": // cardinality, data, constraints, a limit of the program
		return true
	}
	return false
}

// prepare folds the accounts, reads what is stored of them, and leaves out those of
// which exactly what was folded is stored and recorded: nothing has to be written for
// them, and no projector fenced. Where it fails, the result is all of them.
func (s *accountRefold) prepare(ctx context.Context, pool *pgxpool.Pool, ids []events.UUID) (toChange []events.UUID, err error) {
	if s.advance, err = readmodel.BeginAdvance(ctx, pool, s.generation.Number, s.partition); err != nil {
		return ids, err
	}
	if err := s.fold(ctx, ids); err != nil {
		return ids, err
	}
	err = pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) (err error) {
		s.stored, err = computeSums(ctx, tx, s.generation.Number, ids)
		return err
	})
	if err != nil {
		return ids, err
	}
	for _, id := range ids {
		w, f := s.stored[id], s.folds[id]
		if w == nil || w.differs(f) || w.recorded.Messages == 0 || w.parked > 0 && w.minor != projections.VersionMinor {
			toChange = append(toChange, id)
		}
	}
	return toChange, nil
}

// fold folds those that are not folded yet, up to the checkpoint before the lock.
func (s *accountRefold) fold(ctx context.Context, ids []events.UUID) error {
	for _, id := range ids {
		if s.folds[id] != nil {
			continue
		}
		if _, err := s.begin(id).foldUpTo(ctx, s.read, s.advance.From); err != nil {
			s.drop(id)
			return err
		}
	}
	return nil
}

// Room in memory for folds, of which about twice as much is taken: for all accounts of a
// transaction, and for each of them even where that is used up.
const (
	foldsRoom = 8 << 20
	foldRoom  = 256 << 10
)

// begin begins an account's fold in the room that the others leave.
func (s *accountRefold) begin(id events.UUID) *accountFold {
	room := foldsRoom
	for _, f := range s.folds {
		room -= f.State.Size()
	}
	f := newRefold(id, max(room, foldRoom))
	s.folds[id] = f
	return f
}

// drop frees an account's fold.
func (s *accountRefold) drop(id events.UUID) {
	if f := s.folds[id]; f != nil {
		f.close()
		delete(s.folds, id)
	}
}

// close frees all folds.
func (s *accountRefold) close() {
	for id := range s.folds {
		s.drop(id)
	}
}
