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
	"accountexport/readmodel/internal/rows"
)

// ReadAccount calls each with an account's messages after a position, up to and
// including another, in stream order.
type ReadAccount func(ctx context.Context, account events.UUID, after, upTo uint64, each func(projections.Message) error) error

// RefoldResult is what became of accounts that were to be refolded.
type RefoldResult struct {
	Changed []events.UUID    // of which anything is stored that was not
	Skipped []SkippedAccount // that were left as they are
}

// RefoldAccounts replaces what the live generation holds of some accounts with
// folds of their messages up to the checkpoints of their partitions, in one
// transaction a partition. It races safely with the live projector: the
// checkpoint's row is locked, so nothing is committed for the partition
// meanwhile, and its epoch is moved on, so a projector with an account in its
// memory is fenced and loads it anew. A row that was lost is made again.
//
// The lock is held for as short as can be: before it is taken, messages are
// read and folded, the rows are brought into the database and compared with
// those that are stored. Under it only what differs is written, and what the
// projector has committed since is read, folded and compared. No lock is taken,
// and nobody fenced, for accounts of which exactly this is stored already. What
// somebody changes by hand, and not with its row, between the comparison and the lock is not seen.
// [accountexport/readmodel.ErrNotFound] where neither a row nor the stream knows an account.
//
// An account that would lose by it is left as it is, unless acceptLoss is set
// and the stream holds any message of it; one that is erased in any case. So is
// one whose own messages or rows cannot be read.
func RefoldAccounts(ctx context.Context, pool *pgxpool.Pool, accounts []events.UUID, acceptLoss bool, read ReadAccount) (done RefoldResult, err error) {
	g, err := refoldableGeneration(ctx, pool)
	if err != nil {
		return done, err
	}
	if g.Format < readmodel.FormatCounted {
		if err := readmodel.AddCountColumns(ctx, pool, g.Number); err != nil {
			return done, err
		}
	}
	byPartition, err := partitionsOf(ctx, pool, g, accounts)
	if err != nil {
		return done, err
	}
	for partition, ids := range byPartition {
		sortAccounts(ids)
		s := &accountRefold{g: g, partition: partition, read: read, acceptLoss: acceptLoss, folds: map[events.UUID]*accountFold{}}
		some, err := s.refold(ctx, pool, ids)
		done.Changed, done.Skipped = append(done.Changed, some.Changed...), append(done.Skipped, some.Skipped...)
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// partitionsOf puts accounts together by the partition that their rows say.
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
		partition, there := known[id]
		switch {
		case there:
		case g.Stream.Partitions > 0: // its row may be lost, and the stream tell what was in it
			partition = partitionOf(g, events.AccountSubject(id))
		default:
			return nil, fmt.Errorf("account %s: %w", id, readmodel.ErrNotFound)
		}
		out[partition] = append(out[partition], id)
	}
	return out, nil
}

// refoldableGeneration is the live generation, where this program may write into it.
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

// accountRefold replaces accounts of one partition.
type accountRefold struct {
	g          readmodel.Generation
	partition  int
	read       ReadAccount
	acceptLoss bool

	// Before the lock, and right for as long as the partition's epoch and the
	// accounts' positions are what they were then.
	at    engine.Advance
	folds map[events.UUID]*accountFold
	was   map[events.UUID]*stored // nil: no row

	done RefoldResult // of the transaction
}

// refold swaps the accounts, each by itself where one of them cannot be swapped.
func (s *accountRefold) refold(ctx context.Context, pool *pgxpool.Pool, ids []events.UUID) (done RefoldResult, err error) {
	ids, err = s.prepare(ctx, pool, ids)
	if err == nil && len(ids) > 0 {
		err = pg.RetryTx(ctx, pool, func(tx pgx.Tx) error {
			s.done = RefoldResult{}
			return s.run(ctx, tx, ids)
		})
	}
	switch {
	case err == nil && len(ids) == 0:
		return done, nil
	case err == nil:
		return s.done, nil
	case len(ids) == 1 || !isAccountError(err):
		return skipAccount(ids, fmt.Errorf("refold partition %d: %w", s.partition, readmodel.AsEngineError(err)))
	}
	for i := range ids {
		some, err := s.refold(ctx, pool, ids[i:i+1])
		done.Changed, done.Skipped = append(done.Changed, some.Changed...), append(done.Skipped, some.Skipped...)
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// skipAccount is what becomes of a single account that cannot be swapped.
func skipAccount(ids []events.UUID, err error) (done RefoldResult, _ error) {
	if !isAccountError(err) {
		return done, err
	}
	done.Skipped = []SkippedAccount{{ids[0], fmt.Errorf("%w: %w", ErrUnfoldable, err)}}
	return done, nil
}

// isAccountError tells whether an error comes of an account's own messages or rows.
// What the server says of its own state, or of who writes at the same time, is
// not of the account.
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

// prepare folds the accounts, reads what is stored of them, and leaves out those
// of which exactly what was folded is stored, and that say so: nothing has to be
// written for them, and nobody to wait. Where it fails, ids are all of them.
func (s *accountRefold) prepare(ctx context.Context, pool *pgxpool.Pool, ids []events.UUID) (toChange []events.UUID, err error) {
	if s.at, err = readmodel.BeginAdvance(ctx, pool, s.g.Number, s.partition); err != nil {
		return ids, err
	}
	if err := s.fold(ctx, ids); err != nil {
		return ids, err
	}
	err = pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) (err error) {
		s.was, err = computeSums(ctx, tx, s.g.Number, ids)
		return err
	})
	if err != nil {
		return ids, err
	}
	for _, id := range ids {
		w, f := s.was[id], s.folds[id]
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
		f := newRefold(id)
		if _, err := f.foldUpTo(ctx, s.read, s.at.From); err != nil {
			return err
		}
		s.folds[id] = f
	}
	return nil
}

func (s *accountRefold) run(ctx context.Context, tx pgx.Tx, ids []events.UUID) error {
	if err := s.fold(ctx, ids); err != nil { // again, where the transaction was tried before
		return err
	}
	// What is locked has moved on since the first statement.
	if _, err := tx.Exec(ctx, `SET TRANSACTION ISOLATION LEVEL READ COMMITTED`); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, pg.PreferIndexes); err != nil {
		return err
	}
	st := staging{ctx: ctx, tx: tx, generation: s.g.Number}
	st.put(s.whole(ids))
	st.compare(uuids(ids))
	if pg.Code(st.err) == pg.InsufficientPrivilege {
		return fmt.Errorf("%w: a refold takes temporary tables; GRANT TEMPORARY ON DATABASE … TO %s, or `projector provision` by the database's owner, would do",
			st.err, readmodel.ProjectorRole)
	}
	if st.err != nil {
		return fmt.Errorf("stage: %w", st.err)
	}
	at, err := readmodel.LockAdvance(ctx, tx, s.g.Number, s.partition)
	if err != nil {
		return err
	}
	was, moved, err := s.since(ctx, tx, ids, at)
	if err != nil {
		return err
	}
	those, again, err := s.decide(ctx, ids, was, &at)
	if err != nil || len(those) == 0 {
		return err
	}
	if again {
		st.put(s.whole(those))
	}
	if moved || again || len(those) < len(ids) {
		st.compare(uuids(those))
	}
	return s.write(&st, those, at)
}

// since is what is stored of the accounts now that nobody else writes, and
// whether that may differ from what was stored before.
func (s *accountRefold) since(ctx context.Context, tx pgx.Tx, ids []events.UUID, at engine.Advance) (was map[events.UUID]*stored, moved bool, err error) {
	rows, err := tx.Query(ctx, readmodel.InSchema(s.g.Number, `SELECT account_id, position FROM {schema}.account_export WHERE account_id = ANY($1)`), uuids(ids))
	if err != nil {
		return nil, false, err
	}
	now := map[events.UUID]uint64{}
	var id [16]byte
	var position uint64
	if _, err := pgx.ForEachRow(rows, []any{&id, &position}, func() error {
		now[id] = position
		return nil
	}); err != nil {
		return nil, false, err
	}
	moved = at.Epoch != s.at.Epoch
	for _, id := range ids {
		is, there := now[id]
		before := s.was[id]
		moved = moved || there != (before != nil) || there && is != before.position
	}
	if !moved {
		return s.was, false, nil
	}
	was, err = computeSums(ctx, tx, s.g.Number, ids)
	return was, true, err
}

// decide has the folds go on to where the partition is, and gives the accounts
// that are to be replaced, with their outcomes moved; whole tells whether any is
// another whole than was staged.
func (s *accountRefold) decide(ctx context.Context, ids []events.UUID, was map[events.UUID]*stored, at *engine.Advance) (those []events.UUID, whole bool, err error) {
	for _, id := range ids {
		f, w := s.folds[id], was[id]
		if w == nil { // its row was lost, or never was
			w = &stored{}
		}
		if f.upTo != at.From && (w.position == 0 || f.sum.Position != w.position) {
			if w.recorded.Messages == 0 && w.position > 0 {
				f = newRefold(id) // it is compared by all there is
				s.folds[id] = f
			}
			another, err := f.foldUpTo(ctx, s.read, at.From)
			if err != nil {
				clear(s.folds) // what was gone on with would lose that the next time
				return nil, false, err
			}
			whole = whole || another
		}
		if was[id] == nil && f.sum.Messages == 0 {
			return nil, false, fmt.Errorf("account %s: %w", id, readmodel.ErrNotFound)
		}
		if err := checkLoss(w, f); err != nil && (!s.acceptLoss || w.erased || f.sum.Messages == 0) {
			s.done.Skipped = append(s.done.Skipped, SkippedAccount{id, err})
			continue
		}
		moveTally(at, w.at, f.Outcomes)
		if those = append(those, id); w.differs(f) {
			s.done.Changed = append(s.done.Changed, id)
		}
	}
	return those, whole, nil
}

// whole are the accounts as they were first folded, in the generation's
// partition, which the stream's tokens need not be.
func (s *accountRefold) whole(ids []events.UUID) *engine.Batch {
	b := &engine.Batch{Generation: s.g.Number}
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

// write replaces the accounts with what was staged of them and has come since,
// and fences the partition's projector.
func (s *accountRefold) write(st *staging, those []events.UUID, at engine.Advance) error {
	b, since := s.whole(those), &engine.Batch{Generation: s.g.Number}
	b.Advances = []engine.Advance{at}
	for _, id := range those {
		f := s.folds[id]
		delete(s.folds, id) // a transaction that is tried again folds again
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

// differs tells whether a fold makes anything else of what is stored. That a row
// says for the first time what went into it is no difference.
func (w *stored) differs(f *accountFold) bool {
	row := f.row()
	if row.ErasedAt == nil && f.facts != w.facts {
		return true
	}
	return w.digest != f.sum.Digest || w.position != f.sum.Position || w.parked != row.Parked || w.erased != (row.ErasedAt != nil) ||
		w.recorded.Messages > 0 && w.recorded != f.sum
}

// moveTally moves messages that were parked to what became of them.
func moveTally(at *engine.Advance, was []uint64, now map[uint64]projections.Outcome) {
	for _, position := range was {
		if out, there := now[position]; there && out != projections.Parked {
			at.Tally[projections.Parked]--
			at.Tally[out]++
		}
	}
}
