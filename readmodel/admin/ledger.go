package admin

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/readmodel"
	"accountexport/readmodel/internal/pg"
	"accountexport/readmodel/internal/rows"
)

// Erasure is an entry of the ledger, one for each account that was ever erased:
// the ledger is outside the generations and outlives them.
type Erasure struct {
	Account       events.UUID
	ErasedAt      time.Time // the event's own time
	Position      uint64    // of the erased event, in the stream below
	Stream        string
	StreamCreated time.Time
	Receipt       string // digest of the last receipt; empty where there was none
}

// enterLedger enters who is erased in a generation that is about to be live.
func enterLedger(ctx context.Context, tx pgx.Tx, generation int64) error {
	_, err := tx.Exec(ctx, readmodel.InSchema(generation, `
INSERT INTO export.erasures AS e (account_id, erased_at, position, stream_name, stream_created)
SELECT a.account_id, a.erased_at, a.position, g.stream_name, g.stream_created
FROM {schema}.account_export a JOIN export.generations g ON g.generation = $1 LEFT JOIN export.erasures l ON l.account_id = a.account_id
WHERE a.erased_at IS NOT NULL AND (l.position, l.stream_name, l.stream_created) IS DISTINCT FROM (a.position, g.stream_name, g.stream_created)
ORDER BY a.account_id`+rows.OnLedgerConflict), generation)
	if err != nil {
		return fmt.Errorf("enter tombstones into the ledger: %w", err)
	}
	return nil
}

// everLive are the generations that are live or were: what is erased in those
// was erased here.
const everLive = `WHERE state IN ('live', 'retired') OR state = 'building' AND finished_at IS NOT NULL`

// BackfillLedger enters those accounts that are erased in a generation that is
// live or was, and are not on the ledger, and returns how many they were. Of an
// account with several tombstones it is the live one's, then the newest.
func BackfillLedger(ctx context.Context, pool *pgxpool.Pool) (entered int64, err error) {
	err = pg.RetryTx(ctx, pool, func(tx pgx.Tx) error {
		entered = 0
		all, err := readmodel.SelectGenerations(ctx, tx, everLive)
		if err != nil {
			return err
		}
		slices.SortFunc(all, func(a, b readmodel.Generation) int {
			if live := a.State == readmodel.StateLive; live != (b.State == readmodel.StateLive) {
				if live {
					return -1
				}
				return 1
			}
			return cmp.Compare(b.Number, a.Number)
		})
		for _, g := range all {
			tag, err := tx.Exec(ctx, readmodel.InSchema(g.Number, `
INSERT INTO export.erasures (account_id, erased_at, position, stream_name, stream_created)
SELECT account_id, erased_at, position, $1, $2 FROM {schema}.account_export WHERE erased_at IS NOT NULL
ORDER BY account_id ON CONFLICT DO NOTHING`), g.Stream.Name, g.Stream.Created)
			if err != nil {
				return err
			}
			entered += tag.RowsAffected()
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("enter tombstones into the ledger: %w", err)
	}
	return entered, nil
}

// ErrErased means that an account is erased, so that it stays on the ledger.
var ErrErased = errors.New("the account is erased")

// RemoveErasure takes an account off the ledger that came onto it by mistake.
// [ErrErased] where a generation that is live or was has it as erased;
// [accountexport/readmodel.ErrNotFound] where it is not on the ledger.
func RemoveErasure(ctx context.Context, pool *pgxpool.Pool, account events.UUID) error {
	err := pg.RetryTx(ctx, pool, func(tx pgx.Tx) error {
		// In one order with cut-overs.
		if _, err := tx.Exec(ctx, `SELECT FROM export.generations ORDER BY generation FOR SHARE`); err != nil {
			return err
		}
		all, err := readmodel.SelectGenerations(ctx, tx, everLive)
		if err != nil {
			return err
		}
		for _, g := range all {
			erased, err := erasedIn(ctx, tx, g, []events.UUID{account})
			if err != nil {
				return err
			}
			if len(erased) > 0 && g.State == readmodel.StateLive {
				return fmt.Errorf("%w in generation %d, which is live", ErrErased, g.Number)
			}
			if len(erased) > 0 {
				return fmt.Errorf("%w in generation %d, which was live; where that was by mistake, `projector generations drop %d` comes first",
					ErrErased, g.Number, g.Number)
			}
		}
		owed, err := tx.Exec(ctx, `DELETE FROM export.erasures_owed WHERE account_id = $1`, [16]byte(account))
		if err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `DELETE FROM export.erasures WHERE account_id = $1`, [16]byte(account))
		if err == nil && tag.RowsAffected()+owed.RowsAffected() == 0 {
			err = readmodel.ErrNotFound
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("take account %s off the ledger of erasures: %w", account, err)
	}
	return nil
}

// erased are those of the accounts of which the generation has a tombstone.
func erasedIn(ctx context.Context, db pg.Querier, g readmodel.Generation, accounts []events.UUID) ([]events.UUID, error) {
	return having(ctx, db, g, accounts, `erased_at IS NOT NULL`)
}

func having(ctx context.Context, db pg.Querier, g readmodel.Generation, accounts []events.UUID, what string) ([]events.UUID, error) {
	rows, err := db.Query(ctx, readmodel.InSchema(g.Number, `
SELECT account_id FROM {schema}.account_export WHERE account_id = ANY($1) AND `+what+` ORDER BY account_id`), uuids(accounts))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (id events.UUID, err error) {
		err = row.Scan((*[16]byte)(&id))
		return id, err
	})
}

// ServedNeverErased lists those of the accounts that the live generation serves, and
// that no generation that was live has as erased.
func ServedNeverErased(ctx context.Context, pool *pgxpool.Pool, accounts []events.UUID) ([]events.UUID, error) {
	g, err := readmodel.LiveGeneration(ctx, pool)
	if err != nil {
		return nil, err
	}
	out, err := having(ctx, pool, g, accounts, `erased_at IS NULL`)
	if err != nil {
		return nil, fmt.Errorf("look for accounts that are served: %w", err)
	}
	all, err := readmodel.SelectGenerations(ctx, pool, everLive)
	if err != nil {
		return nil, err
	}
	for _, before := range all {
		gone, err := erasedIn(ctx, pool, before, out)
		if err != nil {
			return nil, fmt.Errorf("look into generation %d: %w", before.Number, err)
		}
		out = slices.DeleteFunc(out, func(id events.UUID) bool { return slices.Contains(gone, id) })
	}
	return out, nil
}

const erasureColumns = `account_id, erased_at, position, stream_name, stream_created, coalesce(receipt, '')`

func scanErasure(r pgx.CollectableRow) (e Erasure, err error) {
	err = r.Scan((*[16]byte)(&e.Account), &e.ErasedAt, &e.Position, &e.Stream, &e.StreamCreated, &e.Receipt)
	return e, err
}

// Erasures lists up to limit entries of the ledger in the order of their
// accounts, those after one, from the first where after is nil.
func Erasures(ctx context.Context, pool *pgxpool.Pool, after *events.UUID, limit int) ([]Erasure, error) {
	rows, err := pool.Query(ctx, `
SELECT `+erasureColumns+` FROM export.erasures WHERE $1::uuid IS NULL OR account_id > $1 ORDER BY account_id LIMIT $2`, (*[16]byte)(after), limit)
	if err != nil {
		return nil, fmt.Errorf("read the ledger of erasures: %w", err)
	}
	out, err := pgx.CollectRows(rows, scanErasure)
	if err != nil {
		return nil, fmt.Errorf("read the ledger of erasures: %w", err)
	}
	return out, nil
}

// FindErasure is an account's entry; [accountexport/readmodel.ErrNotFound] where there is none.
func FindErasure(ctx context.Context, pool *pgxpool.Pool, account events.UUID) (Erasure, error) {
	rows, err := pool.Query(ctx, `SELECT `+erasureColumns+` FROM export.erasures WHERE account_id = $1`, [16]byte(account))
	if err != nil {
		return Erasure{}, fmt.Errorf("read the ledger of erasures: %w", err)
	}
	e, err := pgx.CollectExactlyOneRow(rows, scanErasure)
	if errors.Is(err, pgx.ErrNoRows) {
		return e, fmt.Errorf("account %s on the ledger of erasures: %w", account, readmodel.ErrNotFound)
	}
	if err != nil {
		return e, fmt.Errorf("read the ledger of erasures: %w", err)
	}
	return e, nil
}

// FindErasures are the entries of those accounts that have one.
func FindErasures(ctx context.Context, pool *pgxpool.Pool, accounts []events.UUID) ([]Erasure, error) {
	rows, err := pool.Query(ctx, `SELECT `+erasureColumns+` FROM export.erasures WHERE account_id = ANY($1) ORDER BY account_id`, uuids(accounts))
	if err != nil {
		return nil, fmt.Errorf("read the ledger of erasures: %w", err)
	}
	out, err := pgx.CollectRows(rows, scanErasure)
	if err != nil {
		return nil, fmt.Errorf("read the ledger of erasures: %w", err)
	}
	return out, nil
}

// ExportErasures calls each with every entry, as of one moment, and then notes
// that the ledger was exported then; not where each fails.
func ExportErasures(ctx context.Context, pool *pgxpool.Pool, each func(Erasure) error) (n int64, err error) {
	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `SELECT `+erasureColumns+` FROM export.erasures ORDER BY account_id`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			e, err := scanErasure(rows)
			if err == nil {
				err = each(e)
			}
			if err != nil {
				return err
			}
			n++
		}
		if err := rows.Err(); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `
INSERT INTO export.erasures_exported AS e (exported_at, erasures) VALUES (now(), $1)
ON CONFLICT (only_one) DO UPDATE SET exported_at = excluded.exported_at, erasures = excluded.erasures
WHERE e.exported_at < excluded.exported_at`, n)
		return err
	})
	if err != nil {
		return n, fmt.Errorf("export the ledger of erasures: %w", err)
	}
	return n, nil
}

// ImportErasures enters what the ledger lacks, all or nothing, and notes that
// those are owed here, and those of which it knows another receipt: they were
// erased again since. What it has stays, but for the receipt. It returns how many were new.
func ImportErasures(ctx context.Context, pool *pgxpool.Pool, those []Erasure) (entered int64, err error) {
	those = slices.Clone(those)
	slices.SortFunc(those, func(a, b Erasure) int { return bytes.Compare(a.Account[:], b.Account[:]) })
	err = pg.RetryTx(ctx, pool, func(tx pgx.Tx) error {
		entered = 0
		for some := range slices.Chunk(those, 1000) {
			n := len(some)
			ids, times, created := make([][16]byte, n), make([]time.Time, n), make([]time.Time, n)
			positions, streams, receipts := make([]int64, n), make([]string, n), make([]string, n)
			for i, e := range some {
				ids[i], times[i], positions[i] = e.Account, e.ErasedAt, int64(e.Position)
				streams[i], created[i], receipts[i] = e.Stream, e.StreamCreated, e.Receipt
			}
			var fresh int64
			err := tx.QueryRow(ctx, `
WITH entered AS (
    INSERT INTO export.erasures AS e (account_id, erased_at, position, stream_name, stream_created, receipt)
    SELECT u.id, u.at, u.p, u.s, u.c, nullif(u.r, '')
    FROM unnest($1::uuid[], $2::timestamptz[], $3::bigint[], $4::text[], $5::timestamptz[], $6::text[]) AS u (id, at, p, s, c, r)
    ORDER BY u.id
    ON CONFLICT (account_id) DO UPDATE SET receipt = coalesce(excluded.receipt, e.receipt)
    RETURNING account_id, xmax = 0 AS fresh),
owed AS (
    INSERT INTO export.erasures_owed (account_id, anew)
    SELECT n.account_id, true FROM entered n JOIN unnest($1::uuid[], $6::text[]) AS u (id, r) ON u.id = n.account_id
    LEFT JOIN export.erasures was ON was.account_id = n.account_id -- as it was before this statement
    WHERE n.fresh OR u.r <> '' AND was.receipt IS DISTINCT FROM u.r
    ON CONFLICT DO NOTHING)
SELECT count(*) FILTER (WHERE fresh) FROM entered`, ids, times, positions, streams, created, receipts).Scan(&fresh)
			if err != nil {
				return err
			}
			entered += fresh
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("import into the ledger of erasures: %w", err)
	}
	return entered, nil
}

// LedgerStatus says how the ledger of erasures is kept.
type LedgerStatus struct {
	Erasures int64
	Exported *time.Time    // when it was exported last
	Age      time.Duration // of that export, or of the first entry where there is none; 0 without entries
}

// ReadLedgerStatus reads how the ledger is kept, by the database's clock.
func ReadLedgerStatus(ctx context.Context, db pg.Querier) (l LedgerStatus, err error) {
	var seconds float64
	err = db.QueryRow(ctx, `
SELECT l.n, x.exported_at, CASE WHEN l.n = 0 THEN 0 ELSE extract(epoch FROM now() - coalesce(x.exported_at, l.first))::float8 END
FROM (SELECT count(*) AS n, min(entered_at) AS first FROM export.erasures) l LEFT JOIN export.erasures_exported x ON true`).
		Scan(&l.Erasures, &l.Exported, &seconds)
	if err != nil {
		return l, fmt.Errorf("read the ledger of erasures: %w", err)
	}
	l.Age = max(0, time.Duration(seconds*float64(time.Second)))
	return l, nil
}
