package admin

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"accountexport/events"
	"accountexport/projections"
	"accountexport/projections/engine"
	"accountexport/readmodel"
	"accountexport/readmodel/internal/pg"
	"accountexport/readmodel/internal/rows"
)

// replace is the transaction.
func (s *accountRefold) replace(ctx context.Context, tx pgx.Tx, ids []events.UUID) error {
	if err := s.fold(ctx, ids); err != nil { // does something only where an earlier attempt has used the folds up
		return err
	}
	// Each statement has to see what was committed before it: the checkpoint moves on until
	// it is locked.
	if _, err := tx.Exec(ctx, `SET TRANSACTION ISOLATION LEVEL READ COMMITTED`); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, pg.PreferIndexes); err != nil {
		return err
	}
	st := staging{ctx: ctx, tx: tx, generation: s.generation.Number}
	s.stage(&st, ids)
	st.compare(uuids(ids))
	if pg.Code(st.err) == pg.InsufficientPrivilege {
		return fmt.Errorf("%w: a refold takes temporary tables; GRANT TEMPORARY ON DATABASE … TO %s, or `projector provision` by the database's owner, would do",
			st.err, readmodel.ProjectorRole)
	}
	if st.err != nil {
		return fmt.Errorf("stage: %w", st.err)
	}
	advance, err := readmodel.LockAdvance(ctx, tx, s.generation.Number, s.partition)
	if err != nil {
		return err
	}
	storedNow, moved, err := s.storedNow(ctx, tx, ids, advance)
	if err != nil {
		return err
	}
	toReplace, restage, err := s.decide(ctx, ids, storedNow, &advance)
	if err != nil || len(toReplace) == 0 {
		return err
	}
	if restage {
		s.stage(&st, toReplace)
	}
	if moved || restage || len(toReplace) < len(ids) {
		st.compare(uuids(toReplace))
	}
	return s.write(&st, toReplace, advance)
}

// storedNow is what is stored of the accounts now that the checkpoint is locked, and
// whether that may differ from what was stored before.
func (s *accountRefold) storedNow(ctx context.Context, tx pgx.Tx, ids []events.UUID, advance engine.Advance) (sums map[events.UUID]*storedSum, moved bool, err error) {
	rows, err := tx.Query(ctx, readmodel.InSchema(s.generation.Number, `SELECT account_id, position FROM {schema}.account_export WHERE account_id = ANY($1)`), uuids(ids))
	if err != nil {
		return nil, false, err
	}
	positions := map[events.UUID]uint64{}
	var id [16]byte
	var position uint64
	if _, err := pgx.ForEachRow(rows, []any{&id, &position}, func() error {
		positions[id] = position
		return nil
	}); err != nil {
		return nil, false, err
	}
	moved = advance.Epoch != s.advance.Epoch
	for _, id := range ids {
		now, present := positions[id]
		before := s.stored[id]
		moved = moved || present != (before != nil) || present && now != before.position
	}
	if !moved {
		return s.stored, false, nil
	}
	sums, err = computeSums(ctx, tx, s.generation.Number, ids)
	return sums, true, err
}

// decide folds on to where the partition is now, and chooses the accounts that are to
// be replaced, whose outcomes it moves in the advance's tally; restage tells whether
// one of them is no longer what was staged.
func (s *accountRefold) decide(ctx context.Context, ids []events.UUID, storedNow map[events.UUID]*storedSum, advance *engine.Advance) (toReplace []events.UUID, restage bool, err error) {
	for _, id := range ids {
		f, w := s.folds[id], storedNow[id]
		if w == nil { // it has no row
			w = &storedSum{}
		}
		if f.upTo != advance.From && (w.position == 0 || f.sum.Position != w.position) {
			if w.recorded.Messages == 0 && w.position > 0 {
				s.drop(id)
				f = s.begin(id) // the row has no count, so all of base is compared with it
			}
			rebased, err := f.foldUpTo(ctx, s.read, advance.From)
			if err != nil {
				s.close() // the next attempt folds from the beginning: these have consumed a delta
				return nil, false, err
			}
			restage = restage || rebased
		}
		if storedNow[id] == nil && f.sum.Messages == 0 {
			return nil, false, fmt.Errorf("account %s: %w", id, readmodel.ErrNotFound)
		}
		err := checkLoss(w, f)
		if err != nil && !errors.Is(err, ErrDataLoss) {
			return nil, false, err
		}
		if err != nil && (!s.acceptLoss || w.erased || f.sum.Messages == 0) {
			s.result.Skipped = append(s.result.Skipped, SkippedAccount{id, err})
			continue
		}
		moveTally(advance, w.parkedAt, f.Outcomes)
		if toReplace = append(toReplace, id); w.differs(f) {
			s.result.Changed = append(s.result.Changed, id)
		}
	}
	return toReplace, restage, nil
}

// differs tells whether a fold makes anything else of what is stored. That a row
// records for the first time what it was made of is no difference.
func (w *storedSum) differs(f *accountFold) bool {
	row := f.row()
	if row.ErasedAt == nil && f.facts != w.facts {
		return true
	}
	return w.digest != f.sum.Digest || w.position != f.sum.Position || w.parked != row.Parked || w.erased != (row.ErasedAt != nil) ||
		w.recorded.Messages > 0 && w.recorded != f.sum
}

// moveTally moves messages that were parked to their new outcomes.
func moveTally(advance *engine.Advance, parked []uint64, outcomes map[uint64]projections.Outcome) {
	for _, position := range parked {
		if out, known := outcomes[position]; known && out != projections.Parked {
			advance.Tally[projections.Parked]--
			advance.Tally[out]++
		}
	}
}

// write replaces the accounts with what was staged of them and what has come since,
// and fences the partition's projector.
func (s *accountRefold) write(st *staging, ids []events.UUID, advance engine.Advance) error {
	b, since := s.stagedBatch(ids), &engine.Batch{Generation: s.generation.Number}
	b.Advances = []engine.Advance{advance}
	for _, id := range ids {
		f := s.folds[id]
		s.drop(id) // another attempt of the transaction folds anew
		if f.delta == nil {
			continue
		}
		f.delta.Row.Partition = s.partition
		since.Changes, since.Parked = append(since.Changes, *f.delta), append(since.Parked, f.parkedSince()...)
	}
	for i := range since.Parked {
		since.Parked[i].Partition = s.partition
	}
	st.apply(b, s.partition)
	if st.err != nil || len(since.Changes) == 0 {
		return st.err
	}
	return rows.ExecBatch(st.ctx, st.tx, since)
}

// stage stages the accounts, of which those that memory had no room for come in parts.
func (s *accountRefold) stage(st *staging, ids []events.UUID) {
	st.put(s.stagedBatch(ids), func(add func(projections.Change) error) error {
		for _, id := range ids {
			if f := s.folds[id]; f.spill != nil {
				if err := f.eachPart(add); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// stagedBatch is the accounts as they are staged, in the generation's partition,
// which is not always the one that the stream's subjects name.
func (s *accountRefold) stagedBatch(ids []events.UUID) *engine.Batch {
	b := &engine.Batch{Generation: s.generation.Number}
	for _, id := range ids {
		f := s.folds[id]
		f.base.Row.Partition = s.partition
		b.Changes, b.Parked = append(b.Changes, f.base), append(b.Parked, f.parked...)
	}
	for i := range b.Parked {
		b.Parked[i].Partition = s.partition
	}
	return b
}
