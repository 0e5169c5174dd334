package readmodel

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/projections"
)

// FoldAccount folds an account's messages up to and including a position.
type FoldAccount func(ctx context.Context, account events.UUID, upTo uint64) (*projections.Refold, error)

// Swapped is what became of accounts that were to be refolded.
type Swapped struct {
	Changed   []events.UUID // of which anything is stored that was not
	Unchanged []Unchanged   // that were left as they are
}

// SwapAccounts replaces what the live generation holds of some accounts with
// folds of their messages up to the checkpoints of their partitions, in one
// transaction a partition. It races safely with the live projector: the
// checkpoint's row is locked, so nothing is committed for the partition
// meanwhile, and its epoch is moved on, so a projector with an account in its
// memory is fenced and loads it anew. A row that was lost is made again.
// Messages are read before the lock is taken, and again only for accounts that
// have moved on since. No lock is taken, and nobody fenced, for accounts of
// which exactly this is stored already. [ErrNotFound] where neither a row nor
// the stream knows an account.
//
// An account that would lose by it is left as it is, unless acceptLoss is set
// and the stream holds any message of it; one that is erased in any case. So is
// one whose own messages or rows cannot be read.
func SwapAccounts(ctx context.Context, pool *pgxpool.Pool, accounts []events.UUID, acceptLoss bool, fold FoldAccount) (done Swapped, err error) {
	g, err := swappable(ctx, pool)
	if err != nil {
		return done, err
	}
	if g.Format < FormatCounted {
		if err := addCounts(ctx, pool, g.Number); err != nil {
			return done, err
		}
	}
	byPartition := map[int][]events.UUID{}
	for _, id := range accounts {
		var partition int
		err := pool.QueryRow(ctx, inSchema(g.Number, `SELECT partition FROM {schema}.account_export WHERE account_id = $1`), [16]byte(id)).Scan(&partition)
		if errors.Is(err, pgx.ErrNoRows) && g.Stream.Partitions > 0 {
			err = nil // its row may be lost, and the stream tell what was in it
			partition = g.Stream.Partition(&projections.Message{Message: events.Message{Subject: events.AccountSubject(id)}})
		}
		if errors.Is(err, pgx.ErrNoRows) {
			return done, fmt.Errorf("account %s: %w", id, ErrNotFound)
		}
		if err != nil {
			return done, fmt.Errorf("account %s: %w", id, err)
		}
		byPartition[partition] = append(byPartition[partition], id)
	}
	for partition, ids := range byPartition {
		sortAccounts(ids)
		s := &swap{g: g, partition: partition, fold: fold, acceptLoss: acceptLoss, folded: map[events.UUID]*folded{}}
		some, err := s.all(ctx, pool, ids)
		done.Changed, done.Unchanged = append(done.Changed, some.Changed...), append(done.Unchanged, some.Unchanged...)
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// swappable is the live generation, where this program may write into it.
func swappable(ctx context.Context, db querier) (Generation, error) {
	g, err := liveGeneration(ctx, db)
	if err != nil {
		return g, err
	}
	if g.Major != projections.VersionMajor || g.Minor > projections.VersionMinor {
		return g, fmt.Errorf("%w: %w: generation %d was folded by projection version %s, and this program is %d.%d: `projector rebuild` instead",
			projections.ErrRefused, projections.ErrVersion, g.Number, g.Version(), projections.VersionMajor, projections.VersionMinor)
	}
	gone, err := historyGone(ctx, db, g.Number)
	if gone {
		err = fmt.Errorf("%w, as was accepted: a refold would lose what is stored; `projector rebuild` makes a generation of what there is", ErrHistoryGone)
	}
	return g, err
}

// swap replaces accounts of one partition.
type swap struct {
	g          Generation
	partition  int
	fold       FoldAccount
	acceptLoss bool
	folded     map[events.UUID]*folded // before the lock
	done       Swapped                 // of the transaction
}

// folded is an account's fold, and what it has come to.
type folded struct {
	*projections.Refold
	change projections.Change
	upTo   uint64
}

// refold folds an account up to a position.
func (s *swap) refold(ctx context.Context, id events.UUID, upTo uint64) (*folded, error) {
	r, err := s.fold(ctx, id, upTo)
	if err != nil {
		return nil, fmt.Errorf("fold account %s: %w", id, err)
	}
	change, err := r.State.Flush()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAccount, err)
	}
	return &folded{r, change, upTo}, nil
}

// all swaps the accounts, each by itself where one of them cannot be swapped.
func (s *swap) all(ctx context.Context, pool *pgxpool.Pool, ids []events.UUID) (done Swapped, err error) {
	if err := s.prepare(ctx, pool, ids); err != nil && (len(ids) == 1 || !ofAccount(err)) {
		return left(ids, err)
	}
	if ids, err = s.toChange(ctx, pool, ids); err != nil || len(ids) == 0 {
		return done, err
	}
	err = inTransaction(ctx, pool, func(tx pgx.Tx) error {
		s.done = Swapped{}
		return s.run(ctx, tx, ids)
	})
	switch {
	case err == nil:
		return s.done, nil
	case len(ids) == 1 || !ofAccount(err):
		return left(ids, fmt.Errorf("refold partition %d: %w", s.partition, fenced(err)))
	}
	for i := range ids {
		some, err := s.all(ctx, pool, ids[i:i+1])
		done.Changed, done.Unchanged = append(done.Changed, some.Changed...), append(done.Unchanged, some.Unchanged...)
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// left is what becomes of a single account that cannot be swapped.
func left(ids []events.UUID, err error) (done Swapped, _ error) {
	if !ofAccount(err) {
		return done, err
	}
	done.Unchanged = []Unchanged{{ids[0], fmt.Errorf("%w: %w", ErrAccount, err)}}
	return done, nil
}

// ofAccount tells whether an error comes of an account's own messages or rows.
// What the server says of its own state, or of who writes at the same time, is
// not of the account.
func ofAccount(err error) bool {
	if errors.Is(err, ErrAccount) {
		return true
	}
	var refused *pgconn.PgError
	if !errors.As(err, &refused) || len(refused.Code) != 5 {
		return false
	}
	switch refused.Code[:2] {
	case "21", "22", "23", "54": // cardinality, data, constraints, a limit of the program
		return true
	}
	return false
}

func (s *swap) prepare(ctx context.Context, pool *pgxpool.Pool, ids []events.UUID) error {
	var at uint64
	err := pool.QueryRow(ctx, `SELECT position FROM export.checkpoints WHERE generation = $1 AND partition = $2`, s.g.Number, s.partition).Scan(&at)
	if err != nil {
		return fmt.Errorf("read the checkpoint: %w", err)
	}
	for _, id := range ids {
		if s.folded[id] != nil {
			continue
		}
		f, err := s.refold(ctx, id, at)
		if err != nil {
			return err
		}
		s.folded[id] = f
	}
	return nil
}

// toChange leaves out the accounts of which exactly what was folded is stored,
// and that say so: nothing has to be written for them, and nobody to wait.
func (s *swap) toChange(ctx context.Context, pool *pgxpool.Pool, ids []events.UUID) ([]events.UUID, error) {
	var was map[events.UUID]*stored
	err := pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) (err error) {
		was, err = sumUp(ctx, tx, s.g.Number, ids)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("refold partition %d: %w", s.partition, err)
	}
	var left []events.UUID
	for _, id := range ids {
		w, f := was[id], s.folded[id]
		if w == nil || f == nil || w.differs(&f.change) || w.says.Messages == 0 || w.parked > 0 && w.minor != projections.VersionMinor {
			left = append(left, id)
		}
	}
	return left, nil
}

func (s *swap) run(ctx context.Context, tx pgx.Tx, ids []events.UUID) error {
	at, err := lockCheckpoint(ctx, tx, s.g.Number, s.partition)
	if err != nil {
		return err
	}
	b := &projections.Batch{Generation: s.g.Number}
	was, err := sumUp(ctx, tx, s.g.Number, ids)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if was[id] == nil { // its row was lost, or never was
			if s.folded[id] == nil {
				if s.folded[id], err = s.refold(ctx, id, at.From); err != nil {
					return err
				}
			}
			if was[id] = (&stored{}); s.folded[id].change.Messages == 0 {
				return fmt.Errorf("account %s: %w", id, ErrNotFound)
			}
		}
		if err := s.one(ctx, id, was[id], b, &at); err != nil {
			return err
		}
	}
	if len(b.Changes) == 0 {
		return nil
	}
	b.Advances = []projections.Advance{at}
	if err := execute(ctx, tx, b); err != nil {
		return err
	}
	return moveEpoch(ctx, tx, s.g.Number, s.partition)
}

// one adds an account's replacement to the batch.
func (s *swap) one(ctx context.Context, id events.UUID, was *stored, b *projections.Batch, at *projections.Advance) (err error) {
	f := s.folded[id]
	delete(s.folded, id) // a transaction that is tried again folds again
	if f == nil || f.upTo != at.From && (was.position == 0 || f.change.Row.Position != was.position) {
		if f, err = s.refold(ctx, id, at.From); err != nil {
			return err
		}
	}
	r, change := f.Refold, f.change
	if err := loss(was, r, &change); err != nil && (!s.acceptLoss || was.erased || change.Messages == 0) {
		s.done.Unchanged = append(s.done.Unchanged, Unchanged{id, err})
		return nil
	}
	recount(at, was.at, r.Outcomes)
	change.New, change.Wiped = false, true
	// The generation's partition, which the stream's tokens need not be.
	change.Row.Partition = s.partition
	for i := range r.Parked {
		r.Parked[i].Partition = s.partition
	}
	b.Changes = append(b.Changes, change)
	b.Parked = append(b.Parked, r.Parked...)
	if was.differs(&change) {
		s.done.Changed = append(s.done.Changed, id)
	}
	return nil
}

// differs tells whether a change that replaces all there is makes anything
// else of it. That a row says for the first time what went into it is no
// difference.
func (w *stored) differs(c *projections.Change) bool {
	says := Sum{Position: c.Row.Position, Messages: c.Messages, Digest: c.Digest}
	var facts Facts
	if facts.Flushed(c); c.Row.ErasedAt == nil && facts != w.facts {
		return true
	}
	return w.digest != c.Digest || w.position != c.Row.Position || w.parked != c.Row.Parked || w.erased != (c.Row.ErasedAt != nil) ||
		w.says.Messages > 0 && w.says != says
}

// recount moves messages that were parked to what became of them.
func recount(at *projections.Advance, was []uint64, now map[uint64]projections.Outcome) {
	for _, position := range was {
		if out, there := now[position]; there && out != projections.Parked {
			at.Tally[projections.Parked]--
			at.Tally[out]++
		}
	}
}

// SwapTier does for a quota tier what SwapAccounts does for accounts, where
// messages of its subject are parked. [ErrLoss] where the stream no longer
// holds the definition in force.
func SwapTier(ctx context.Context, pool *pgxpool.Pool, subject string,
	fold func(ctx context.Context, upTo uint64) (*projections.TierRefold, error)) (changed bool, err error) {
	err = inTransaction(ctx, pool, func(tx pgx.Tx) error {
		g, err := swappable(ctx, tx)
		if err != nil {
			return err
		}
		var partition int
		err = tx.QueryRow(ctx, inSchema(g.Number, `SELECT partition FROM {schema}.parked WHERE subject = $1 AND account_id IS NULL LIMIT 1`), subject).Scan(&partition)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		at, err := lockCheckpoint(ctx, tx, g.Number, partition)
		if err != nil {
			return err
		}
		r, err := fold(ctx, at.From)
		if err != nil {
			return err
		}
		if err := tierLoss(ctx, tx, g.Number, events.ParseSubject(subject).Tier, r); err != nil {
			return err
		}
		was, err := parkedPositions(ctx, tx, g.Number, `subject = $1 AND account_id IS NULL`, subject)
		if err != nil {
			return err
		}
		recount(&at, was, r.Outcomes)
		if changed = at.Tally != (projections.Tally{}); !changed {
			return nil
		}
		if _, err := tx.Exec(ctx, inSchema(g.Number, `DELETE FROM {schema}.parked WHERE subject = $1 AND account_id IS NULL`), subject); err != nil {
			return err
		}
		for i := range r.Parked {
			r.Parked[i].Partition = partition
		}
		b := &projections.Batch{Generation: g.Number, Parked: r.Parked, Advances: []projections.Advance{at}}
		if r.Definition != nil {
			r.Definition.Partition = partition
			b.Tiers = append(b.Tiers, *r.Definition)
		}
		if err := execute(ctx, tx, b); err != nil {
			return err
		}
		return moveEpoch(ctx, tx, g.Number, partition)
	})
	if err != nil {
		return false, fmt.Errorf("refold %s: %w", subject, fenced(err))
	}
	return changed, nil
}

// lockCheckpoint keeps the partition's projector from committing until the
// transaction ends.
func lockCheckpoint(ctx context.Context, tx pgx.Tx, generation int64, partition int) (projections.Advance, error) {
	at := projections.Advance{Partition: partition}
	err := tx.QueryRow(ctx, `
SELECT position, epoch, as_of FROM export.checkpoints WHERE generation = $1 AND partition = $2 FOR UPDATE`, generation, partition).
		Scan(&at.From, &at.Epoch, &at.AsOf)
	if err != nil {
		return at, fmt.Errorf("lock the checkpoint: %w", err)
	}
	at.To = at.From
	return at, nil
}

// moveEpoch fences the partition's projector.
func moveEpoch(ctx context.Context, tx pgx.Tx, generation int64, partition int) error {
	_, err := tx.Exec(ctx, `UPDATE export.checkpoints SET epoch = epoch + 1 WHERE generation = $1 AND partition = $2`, generation, partition)
	if err != nil {
		return fmt.Errorf("fence: %w", err)
	}
	return nil
}

func execute(ctx context.Context, tx pgx.Tx, b *projections.Batch) (err error) {
	write(b, func(sql string, args ...any) {
		if err == nil {
			_, err = tx.Exec(ctx, sql, args...)
		}
	})
	return err
}

func parkedPositions(ctx context.Context, tx pgx.Tx, generation int64, condition string, arg any) ([]uint64, error) {
	rows, err := tx.Query(ctx, inSchema(generation, `SELECT position FROM {schema}.parked WHERE `+condition), arg)
	if err != nil {
		return nil, fmt.Errorf("read parked messages: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[uint64])
}

// Retriable is what messages are parked of in the live generation.
type Retriable struct {
	Accounts []events.UUID // in the order of their ids
	Tiers    []string      // subjects, as published
}

// FindRetriable lists the accounts and tiers with parked messages; olderOnly
// leaves out accounts that were folded by this minor version from their first
// message on.
func FindRetriable(ctx context.Context, pool *pgxpool.Pool, olderOnly bool) (r Retriable, err error) {
	g, err := liveGeneration(ctx, pool)
	if err != nil {
		return r, err
	}
	rows, err := pool.Query(ctx, inSchema(g.Number, `
SELECT account_id FROM {schema}.account_export WHERE parked > 0 AND (NOT $1 OR version_minor < $2) ORDER BY account_id`),
		olderOnly, projections.VersionMinor)
	if err != nil {
		return r, fmt.Errorf("list accounts with parked messages: %w", err)
	}
	r.Accounts, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (id events.UUID, err error) {
		err = row.Scan((*[16]byte)(&id))
		return id, err
	})
	if err != nil {
		return r, fmt.Errorf("list accounts with parked messages: %w", err)
	}
	rows, err = pool.Query(ctx, inSchema(g.Number, `SELECT DISTINCT subject FROM {schema}.parked WHERE account_id IS NULL ORDER BY subject`))
	if err != nil {
		return r, fmt.Errorf("list tiers with parked messages: %w", err)
	}
	subjects, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return r, fmt.Errorf("list tiers with parked messages: %w", err)
	}
	r.Tiers = slices.DeleteFunc(subjects, func(s string) bool { return events.ParseSubject(s).Kind != events.SubjectTier })
	return r, nil
}

// raiseMinor makes a generation this minor version's: an older program that is
// projecting it is fenced, and refuses it from then on.
func raiseMinor(ctx context.Context, tx pgx.Tx, generation int64) error {
	_, err := tx.Exec(ctx, `UPDATE export.generations SET version_minor = $2 WHERE generation = $1 AND version_minor < $2`,
		generation, projections.VersionMinor)
	if err != nil {
		return fmt.Errorf("raise the minor version of generation %d: %w", generation, err)
	}
	_, err = tx.Exec(ctx, `UPDATE export.checkpoints SET epoch = epoch + 1, owner = NULL WHERE generation = $1`, generation)
	if err != nil {
		return fmt.Errorf("raise the minor version of generation %d: %w", generation, err)
	}
	return nil
}

// RetryDue tells whether the live generation is this program's, and holds what
// an older minor version has parked and this one has not tried.
func RetryDue(ctx context.Context, pool *pgxpool.Pool) (generation int64, due bool, err error) {
	g, err := liveGeneration(ctx, pool)
	if err != nil {
		return 0, false, err
	}
	if g.Major != projections.VersionMajor || g.Minor != projections.VersionMinor || g.Refolded >= g.Minor {
		return g.Number, false, nil
	}
	gone, err := historyGone(ctx, pool, g.Number)
	return g.Number, !gone, err
}

// RetryTurn runs do unless another replica is at it.
func RetryTurn(ctx context.Context, pool *pgxpool.Pool, do func() error) error {
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error { // do is not for it to be tried again
		var mine bool
		if err := tx.QueryRow(ctx, `SELECT pg_try_advisory_xact_lock(hashtext('accountexport retry'))`).Scan(&mine); err != nil || !mine {
			return err
		}
		return do()
	})
}

// RetryDone notes that all that was parked has been tried.
func RetryDone(ctx context.Context, pool *pgxpool.Pool, generation int64) error {
	_, err := pool.Exec(ctx, `UPDATE export.generations SET refolded_minor = $2 WHERE generation = $1`, generation, projections.VersionMinor)
	if err != nil {
		return fmt.Errorf("note that generation %d is retried: %w", generation, err)
	}
	return nil
}
