package admin

import (
	"context"
	"encoding/json"
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

// noTombstone is the condition for a row that is more than a tombstone.
const noTombstone = `(erased_at IS NULL OR coalesce(user_json, team_json, usage_tail, keys_tail, sandboxes_tail) IS NOT NULL)`

// eraseLockTimeout is how long clearing waits for whoever holds the checkpoints.
const eraseLockTimeout = 30 * time.Second

// AccountErasure is an erasure as the tables need it.
type AccountErasure struct {
	Account          events.UUID
	At               time.Time                  // by the event
	Position         uint64                     // the event's position
	Stream           engine.StreamInfo          // that holds it
	MistypedSubjects []string                   // subjects of messages of the account that belonged to none, and were removed
	Mentions         func(parts ...[]byte) bool // whether a text speaks of the account

	// FenceAll has every partition of the live generation fenced, too: where
	// strays may have gone from the stream by an erasure that was cut off, nobody
	// knows any more of which partitions they were.
	FenceAll bool
}

// ClearAccount removes an account from every generation, live, being built, retired or
// given up, and fences whoever has something of it in memory or has read it
// ahead: all of it must be gone from the stream, so that nothing is read again.
// Tombstones stay; one is made where the generation would not come by the erased
// event any more. The ledger has the erasure afterwards. It returns how many rows
// went. It may be repeated.
func ClearAccount(ctx context.Context, pool *pgxpool.Pool, c AccountErasure) (removed int64, err error) {
	older, err := readmodel.SelectGenerations(ctx, pool, `WHERE format < $1`, readmodel.FormatCounted)
	for _, g := range older { // tombstones count
		if err == nil {
			err = readmodel.AddCountColumns(ctx, pool, g.Number)
		}
	}
	if err != nil {
		return 0, fmt.Errorf("clear account %s: %w", c.Account, err)
	}
	err = pg.RetryTx(ctx, pool, func(tx pgx.Tx) error {
		removed = 0
		if _, err := tx.Exec(ctx, fmt.Sprintf(`SET LOCAL lock_timeout = '%ds'`, int(eraseLockTimeout.Seconds()))); err != nil {
			return err
		}
		// In one order with cut-overs, and not with other erasures.
		if _, err := tx.Exec(ctx, `SELECT FROM export.generations ORDER BY generation FOR SHARE`); err != nil {
			return err
		}
		all, err := readmodel.SelectGenerations(ctx, tx, "")
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
		_, err = tx.Exec(ctx, `
INSERT INTO export.erasures AS e (account_id, erased_at, position, stream_name, stream_created) VALUES ($1, $2, $3, $4, $5)`+rows.OnLedgerConflict,
			[16]byte(c.Account), c.At, int64(c.Position), c.Stream.Name, c.Stream.Created)
		return err
	})
	if pg.Code(err) == pg.LockNotAvailable {
		err = fmt.Errorf("a cut-over, or somebody else's transaction, has held the checkpoints for %v: %w", eraseLockTimeout, err)
	}
	if err != nil {
		return 0, fmt.Errorf("clear account %s: %w", c.Account, err)
	}
	return removed, nil
}

// clear clears one generation.
func (c *AccountErasure) clear(ctx context.Context, tx pgx.Tx, g readmodel.Generation) (removed int64, err error) {
	partition := partitionOf(g, events.AccountSubject(c.Account))
	// Its own partition, and those of the strays; all of them in a generation that
	// is being built: what it has read ahead may have gone from the stream before
	// anybody looked, whatever partition it was of.
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
	for _, table := range rows.AccountTables[1:] {
		tag, err := tx.Exec(ctx, readmodel.InSchema(g.Number, `DELETE FROM {schema}.`+table+` WHERE account_id = $1`), [16]byte(c.Account))
		if err != nil {
			return 0, err
		}
		removed += tag.RowsAffected()
	}
	var was, more bool
	err = tx.QueryRow(ctx, readmodel.InSchema(g.Number, `
DELETE FROM {schema}.account_export WHERE account_id = $1 RETURNING erased_at IS NOT NULL, `+noTombstone), [16]byte(c.Account)).Scan(&was, &more)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return 0, err
	}
	if more {
		removed++
	}
	same := g.Stream.Name == c.Stream.Name && g.Stream.Created.Equal(c.Stream.Created.Truncate(time.Microsecond))
	if was || g.State == readmodel.StateLive || g.State != readmodel.StateFailed && (!same || reached >= c.Position) {
		if err := c.insertTombstone(ctx, tx, g.Number, partition); err != nil {
			return 0, err
		}
	}
	n, err := c.clearStrays(ctx, tx, g)
	return removed + n, err
}

// insertTombstone makes the tombstone.
func (c *AccountErasure) insertTombstone(ctx context.Context, tx pgx.Tx, generation int64, partition int) (err error) {
	at := events.TimeOf(c.At)
	change := projections.Change{Row: projections.AccountRow{ID: c.Account, Partition: partition, Position: c.Position, ErasedAt: &at},
		Messages: 1, Digest: projections.DigestTombstone(at)}
	rows.QueueAccounts(func(sql string, args ...any) {
		if err == nil {
			_, err = tx.Exec(ctx, sql, args...)
		}
	}, generation, []projections.Change{change})
	return err
}

func (c *AccountErasure) clearStrays(ctx context.Context, tx pgx.Tx, g readmodel.Generation) (removed int64, err error) {
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

// clearDismissals removes the notes on the account's messages, and the words of
// those on others' that speak of it.
func (c *AccountErasure) clearDismissals(ctx context.Context, tx pgx.Tx) (removed int64, err error) {
	for _, table := range rows.DismissalTables {
		tag, err := tx.Exec(ctx, `DELETE FROM export.`+table+` WHERE account_id = $1`, [16]byte(c.Account))
		if err != nil {
			return 0, err
		}
		removed += tag.RowsAffected()
	}
	notes, err := notes(ctx, tx, c.Mentions)
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

func partitionOf(g readmodel.Generation, subject string) int {
	return g.Stream.PartitionOf(&projections.Message{Message: events.Message{Subject: subject}})
}

// mistypedParked are the positions of a generation's parked messages that speak of
// somebody, and whose subject names no account and no tier, or the account where
// a tier belongs.
func mistypedParked(ctx context.Context, db pg.Querier, generation int64, account events.UUID, mention func(parts ...[]byte) bool) (positions []int64, err error) {
	rows, err := db.Query(ctx, readmodel.InSchema(generation, `
SELECT position, subject, reason, headers, payload FROM {schema}.parked WHERE account_id IS NULL`))
	if err != nil {
		return nil, err
	}
	var position int64
	var subject, reason string
	var headers, payload []byte
	_, err = pgx.ForEachRow(rows, []any{&position, &subject, &reason, &headers, &payload}, func() error {
		to := events.ParseSubject(subject)
		if (to.Kind == events.SubjectUnsound || to.Tier == account.String()) && mention([]byte(subject), []byte(reason), headers, payload) {
			positions = append(positions, position)
		}
		return nil
	})
	return positions, err
}

// notes are those of dismissals, taken back or not, that speak of somebody.
func notes(ctx context.Context, db pg.Querier, mention func(parts ...[]byte) bool) (out []string, err error) {
	rows, err := db.Query(ctx, `
SELECT note FROM export.dismissals UNION SELECT note FROM export.undismissals UNION SELECT dismissal_note FROM export.undismissals`)
	if err != nil {
		return nil, err
	}
	var note string
	_, err = pgx.ForEachRow(rows, []any{&note}, func() error {
		if mention([]byte(note)) {
			out = append(out, note)
		}
		return nil
	})
	return out, err
}

// Traces is what the tables hold of an account.
type Traces struct {
	Rows   int64 // beside tombstones, in all generations, parked strays and notes of dismissals among them
	Erased bool  // there is a tombstone
	Emails []string
}

// FindTraces says what the tables hold of an account. mention may be nil: then
// strays and notes are not looked into.
func FindTraces(ctx context.Context, pool *pgxpool.Pool, account events.UUID, mention func(parts ...[]byte) bool) (t Traces, err error) {
	all, err := readmodel.SelectGenerations(ctx, pool, "")
	if err != nil {
		return t, err
	}
	for _, g := range all {
		before := t.Rows
		err := t.look(ctx, pool, g, account, mention)
		if err != nil && pg.IsUndefinedTable(err) {
			if _, gone := readmodel.FindGeneration(ctx, pool, g.Number); errors.Is(gone, readmodel.ErrNotFound) {
				t.Rows = before // meanwhile, with all that it had
				continue
			}
		}
		if err != nil {
			return t, fmt.Errorf("look into generation %d: %w", g.Number, err)
		}
	}
	for _, table := range rows.DismissalTables {
		var n int64
		if err := pool.QueryRow(ctx, `SELECT count(*) FROM export.`+table+` WHERE account_id = $1`, [16]byte(account)).Scan(&n); err != nil {
			return t, fmt.Errorf("look into dismissals: %w", err)
		}
		t.Rows += n
	}
	if mention == nil {
		return t, nil
	}
	those, err := notes(ctx, pool, mention)
	if err != nil {
		return t, fmt.Errorf("look into dismissals: %w", err)
	}
	t.Rows += int64(len(those))
	return t, nil
}

func (t *Traces) look(ctx context.Context, pool *pgxpool.Pool, g readmodel.Generation, account events.UUID, mention func(parts ...[]byte) bool) error {
	for _, table := range rows.AccountTables {
		condition := ""
		if table == "account_export" {
			condition = ` AND ` + noTombstone
		}
		var n int64
		err := pool.QueryRow(ctx, readmodel.InSchema(g.Number, `SELECT count(*) FROM {schema}.`+table+` WHERE account_id = $1`+condition), [16]byte(account)).Scan(&n)
		if err != nil {
			return err
		}
		t.Rows += n
	}
	var user []byte
	var erased bool
	err := pool.QueryRow(ctx, readmodel.InSchema(g.Number, `SELECT user_json, erased_at IS NOT NULL FROM {schema}.account_export WHERE account_id = $1`),
		[16]byte(account)).Scan(&user, &erased)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	t.Erased = t.Erased || erased
	var waiting []byte
	err = pool.QueryRow(ctx, readmodel.InSchema(g.Number, `SELECT patch FROM {schema}.account_waiting WHERE account_id = $1 AND entity = 1`),
		[16]byte(account)).Scan(&waiting)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	// What cannot be read holds no e-mail address that could be looked for.
	var stored struct{ Email string }
	var patch struct{ Email events.Optional[string] }
	if json.Unmarshal(user, &stored) == nil && stored.Email != "" {
		t.Emails = append(t.Emails, stored.Email)
	}
	if json.Unmarshal(waiting, &patch) == nil && patch.Email.Value != "" {
		t.Emails = append(t.Emails, patch.Email.Value)
	}
	if mention == nil {
		return nil
	}
	positions, err := mistypedParked(ctx, pool, g.Number, account, mention)
	t.Rows += int64(len(positions))
	return err
}

// AbandonUnfenceable gives up generations that are being built and that an erasure
// cannot fence: those that nobody is at work on, and those, of a stream that now
// begins at first, that would find messages gone which they have yet to read. A
// roll-back that was cut off is ended. The next rebuild starts anew.
func AbandonUnfenceable(ctx context.Context, pool *pgxpool.Pool, first uint64) (failed []int64, err error) {
	err = pg.RetryTx(ctx, pool, func(tx pgx.Tx) error {
		failed = nil
		if _, err := tx.Exec(ctx, fmt.Sprintf(`SET LOCAL lock_timeout = '%ds'`, int(eraseLockTimeout.Seconds()))); err != nil {
			return err
		}
		all, err := readmodel.SelectGenerations(ctx, tx, `WHERE state = 'building'`)
		if err != nil || len(all) == 0 {
			return err
		}
		var nobody bool
		err = tx.QueryRow(ctx, `SELECT pg_try_advisory_xact_lock(hashtext('accountexport rebuild'))`).Scan(&nobody)
		if err != nil {
			return err
		}
		for _, g := range all {
			state, err := givenUp(ctx, tx, g, nobody, first)
			if err != nil {
				return err
			}
			if state == "" {
				continue
			}
			if err := readmodel.SetGenerationState(ctx, tx, g.Number, state); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, `UPDATE export.checkpoints SET epoch = epoch + 1 WHERE generation = $1`, g.Number); err != nil {
				return err
			}
			if state == readmodel.StateFailed {
				failed = append(failed, g.Number)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for abandoned generations: %w", err)
	}
	return failed, nil
}

// givenUp is the state that a building generation is to be in after an erasure;
// empty where it goes on.
func givenUp(ctx context.Context, tx pgx.Tx, g readmodel.Generation, nobody bool, first uint64) (state string, err error) {
	// A cut-over may have ended it meanwhile.
	err = tx.QueryRow(ctx, `SELECT state FROM export.generations WHERE generation = $1 FOR UPDATE`, g.Number).Scan(&state)
	if err != nil || state != readmodel.StateBuilding {
		return "", err
	}
	if g.RollingBack() {
		if nobody {
			return readmodel.StateRetired, nil
		}
		return "", nil
	}
	var gone bool
	err = tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM export.checkpoints WHERE generation = $1 AND position > 0 AND position + 1 < $2)`,
		g.Number, int64(first)).Scan(&gone)
	if err != nil || !nobody && !gone {
		return "", err
	}
	return readmodel.StateFailed, nil
}
