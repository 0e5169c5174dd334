package admin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/projections"
	"accountexport/projections/engine"
	"accountexport/readmodel"
	"accountexport/readmodel/internal/pg"
	"accountexport/readmodel/internal/rows"
)

// AccountErasure is an erasure as the tables need it.
type AccountErasure struct {
	Account          events.UUID
	At               time.Time                  // the event's own time
	Position         uint64                     // the event's position
	Stream           engine.StreamInfo          // that holds the event
	MistypedSubjects []string                   // of messages of the account whose subjects named no account, and which were removed
	Mentions         func(parts ...[]byte) bool // whether a text mentions the account or its e-mail addresses

	// FenceAll has every partition of the live generation fenced as well: where
	// mistyped messages may have been removed from the stream by an erasure that was
	// cut off, it is no longer known which partitions they were of.
	FenceAll bool
}

// noTombstone is the condition for a row that is more than a tombstone.
const noTombstone = `(erased_at IS NULL OR coalesce(user_json, team_json, usage_tail, keys_tail, sandboxes_tail) IS NOT NULL)`

// ClearAccount removes an account from every generation, live, being built, retired or
// given up, and fences every projector that has anything of it in memory or has read it
// ahead: all of it must be gone from the stream, so that nothing is read again.
// Tombstones stay; one is made where the generation would not come to the erased
// event any more. Lines of the audit stay, without the account, but for those of the
// erasure. Afterwards the erasure is on the ledger. It returns how many rows were
// removed, and lines changed. All of it is one transaction; it may be repeated.
func ClearAccount(ctx context.Context, pool *pgxpool.Pool, c AccountErasure) (removed int64, err error) {
	older, err := readmodel.SelectGenerations(ctx, pool, `WHERE format < $1`, readmodel.FormatCounted)
	for _, g := range older { // the tombstones have a message count
		if err == nil {
			err = readmodel.EnsureCountColumns(ctx, pool, g)
		}
	}
	if err != nil {
		return 0, fmt.Errorf("clear account %s: %w", c.Account, err)
	}
	err = pg.RetryTx(ctx, pool, func(tx pgx.Tx) error {
		removed = 0
		if err := limitLockWait(ctx, tx); err != nil {
			return err
		}
		all, err := shareGenerations(ctx, tx, "")
		if err != nil {
			return err
		}
		for _, g := range all {
			n, err := c.clear(ctx, tx, g)
			if err != nil {
				return fmt.Errorf("generation %d: %w", g.Number, err)
			}
			removed += n
		}
		n, err := c.clearDismissals(ctx, tx)
		if err != nil {
			return err
		}
		removed += n
		if n, err = forgetAudited(ctx, tx, c.Account); err != nil {
			return err
		}
		removed += n
		_, err = tx.Exec(ctx, `
INSERT INTO export.erasures AS e (account_id, erased_at, position, stream_name, stream_created) VALUES ($1, $2, $3, $4, $5)`+rows.OnLedgerConflict,
			[16]byte(c.Account), c.At, int64(c.Position), c.Stream.Name, c.Stream.Created)
		return err
	})
	if pg.Code(err) == pg.LockNotAvailable {
		err = fmt.Errorf("a cut-over, or somebody else's transaction, has held the checkpoints for %v: %w", lockTimeout, err)
	}
	if err != nil {
		return 0, fmt.Errorf("clear account %s: %w", c.Account, err)
	}
	return removed, nil
}

// clear clears one generation.
func (c *AccountErasure) clear(ctx context.Context, tx pgx.Tx, g readmodel.Generation) (removed int64, err error) {
	partition := partitionOf(g, events.AccountSubject(c.Account))
	// Its own partition, and those of the mistyped messages. In a generation that is
	// being built all of them: it may have read messages ahead, of any partition, that
	// were removed from the stream before they were searched for.
	fence := map[int32]bool{int32(partition): true}
	for _, subject := range c.MistypedSubjects {
		fence[int32(partitionOf(g, subject))] = true
	}
	found, err := tx.Query(ctx, `
SELECT partition, position FROM export.checkpoints WHERE generation = $1 AND (partition = ANY($2) OR $3) ORDER BY partition FOR UPDATE`,
		g.Number, slices.Sorted(maps.Keys(fence)), c.FenceAll || g.State == readmodel.StateBuilding)
	if err != nil {
		return 0, err
	}
	var p int
	var position, reached uint64
	if _, err := pgx.ForEachRow(found, []any{&p, &position}, func() error {
		if p == partition {
			reached = position
		}
		return nil
	}); err != nil {
		return 0, err
	}
	_, err = tx.Exec(ctx, `UPDATE export.checkpoints SET epoch = epoch + 1 WHERE generation = $1 AND (partition = ANY($2) OR $3)`,
		g.Number, slices.Sorted(maps.Keys(fence)), c.FenceAll || g.State == readmodel.StateBuilding)
	if err != nil {
		return 0, err
	}
	for _, table := range rows.TablesOf(g)[1:] {
		tag, err := tx.Exec(ctx, readmodel.InSchema(g.Number, `DELETE FROM {schema}.`+table+` WHERE account_id = $1`), [16]byte(c.Account))
		if err != nil {
			return 0, err
		}
		removed += tag.RowsAffected()
	}
	var hadTombstone, hadRow bool
	err = tx.QueryRow(ctx, readmodel.InSchema(g.Number, `
DELETE FROM {schema}.account_export WHERE account_id = $1 RETURNING erased_at IS NOT NULL, `+noTombstone), [16]byte(c.Account)).Scan(&hadTombstone, &hadRow)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return 0, err
	}
	if hadRow {
		removed++
	}
	sameStream := g.Stream.Name == c.Stream.Name && g.Stream.Created.Equal(c.Stream.Created.Truncate(time.Microsecond))
	if hadTombstone || g.State == readmodel.StateLive || g.State != readmodel.StateFailed && (!sameStream || reached >= c.Position) {
		if err := c.insertTombstone(ctx, tx, g.Number, partition); err != nil {
			return 0, err
		}
	}
	n, err := c.clearMistyped(ctx, tx, g)
	return removed + n, err
}

// insertTombstone writes the row that says when the account was erased, and nothing else.
func (c *AccountErasure) insertTombstone(ctx context.Context, tx pgx.Tx, generation int64, partition int) (err error) {
	at := events.TimeOf(c.At)
	change := projections.Change{Row: projections.AccountRow{ID: c.Account, Partition: partition, Position: c.Position, ErasedAt: &at},
		New: true, Messages: 1, Digest: projections.DigestTombstone(at)}
	rows.QueueAccounts(func(sql string, args ...any) {
		if err == nil {
			_, err = tx.Exec(ctx, sql, args...)
		}
	}, generation, []projections.Change{change})
	return err
}

// clearMistyped removes parked messages that mention the account under a subject that
// names no account.
func (c *AccountErasure) clearMistyped(ctx context.Context, tx pgx.Tx, g readmodel.Generation) (removed int64, err error) {
	positions, err := mistypedParked(ctx, tx, g.Number, c.Account, c.Mentions)
	if err != nil || positions == nil {
		return 0, err
	}
	tag, err := tx.Exec(ctx, readmodel.InSchema(g.Number, `DELETE FROM {schema}.parked WHERE position = ANY($1)`), positions)
	if err != nil {
		return 0, err
	}
	for _, table := range rows.DismissalTables {
		_, err = tx.Exec(ctx, `DELETE FROM export.`+table+` WHERE stream_name = $1 AND stream_created = $2 AND position = ANY($3)`,
			g.Stream.Name, g.Stream.Created, positions)
		if err != nil {
			return 0, err
		}
	}
	return tag.RowsAffected(), nil
}

// clearDismissals removes the dismissals of the account's messages, and the notes of
// other dismissals that mention it.
func (c *AccountErasure) clearDismissals(ctx context.Context, tx pgx.Tx) (removed int64, err error) {
	for _, table := range rows.DismissalTables {
		tag, err := tx.Exec(ctx, `DELETE FROM export.`+table+` WHERE account_id = $1`, [16]byte(c.Account))
		if err != nil {
			return 0, err
		}
		removed += tag.RowsAffected()
	}
	notes, err := notesMentioning(ctx, tx, c.Mentions)
	if err != nil {
		return 0, err
	}
	for _, note := range notes {
		for _, column := range []string{"dismissals SET note", "undismissals SET note", "undismissals SET dismissal_note"} {
			_, words, _ := strings.Cut(column, " SET ")
			if _, err := tx.Exec(ctx, `UPDATE export.`+column+` = $2 WHERE `+words+` = $1`, note, "removed by an erasure"); err != nil {
				return 0, err
			}
		}
	}
	return removed + int64(len(notes)), nil
}
