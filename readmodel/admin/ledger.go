package admin

import (
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

// ErrErased means that an account is erased, so that it stays on the ledger.
var ErrErased = errors.New("the account is erased")

// wasEverLive selects the generations that are live or were: what is erased in those
// was erased here.
const wasEverLive = `WHERE state IN ('live', 'retired') OR state = 'building' AND finished_at IS NOT NULL`

// enterLedger enters the accounts that are erased in a generation that is about to go
// live, and takes them out of the audit.
func enterLedger(ctx context.Context, tx pgx.Tx, generation int64) error {
	_, err := tx.Exec(ctx, readmodel.InSchema(generation, `
INSERT INTO export.erasures AS e (account_id, erased_at, position, stream_name, stream_created)
SELECT a.account_id, a.erased_at, a.position, g.stream_name, g.stream_created
FROM {schema}.account_export a JOIN export.generations g ON g.generation = $1 LEFT JOIN export.erasures l ON l.account_id = a.account_id
WHERE a.erased_at IS NOT NULL AND (l.position, l.stream_name, l.stream_created) IS DISTINCT FROM (a.position, g.stream_name, g.stream_created)
ORDER BY a.account_id`+rows.OnLedgerConflict), generation)
	if err == nil {
		_, err = tx.Exec(ctx, readmodel.InSchema(generation, `
UPDATE export.audit l SET account = NULL FROM {schema}.account_export a
WHERE a.account_id = l.account AND a.erased_at IS NOT NULL AND l.`+rows.NamesErased))
	}
	if err != nil {
		return fmt.Errorf("enter tombstones into the ledger: %w", err)
	}
	return nil
}

// BackfillLedger enters the accounts that are erased in a generation that is live or
// was, and are not on the ledger, and returns how many they were. Of an account's
// several tombstones the live generation's counts, then the newest.
func BackfillLedger(ctx context.Context, pool *pgxpool.Pool) (entered int64, err error) {
	err = pg.RetryTx(ctx, pool, func(tx pgx.Tx) error {
		entered = 0
		all, err := readmodel.SelectGenerations(ctx, tx, wasEverLive)
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

// RemoveErasure takes an account off the ledger that came onto it by mistake.
// [ErrErased] where a generation that is live or was has it as erased;
// [accountexport/readmodel.ErrNotFound] where it is not on the ledger.
func RemoveErasure(ctx context.Context, pool *pgxpool.Pool, account events.UUID) error {
	err := pg.RetryTx(ctx, pool, func(tx pgx.Tx) error {
		all, err := shareGenerations(ctx, tx, wasEverLive)
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

// ServedNeverErased lists those of the accounts that the live generation serves, and
// that no generation that was live has as erased.
func ServedNeverErased(ctx context.Context, pool *pgxpool.Pool, accounts []events.UUID) ([]events.UUID, error) {
	g, err := readmodel.LiveGeneration(ctx, pool)
	if err != nil {
		return nil, err
	}
	out, err := accountsWhere(ctx, pool, g, accounts, `erased_at IS NULL`)
	if err != nil {
		return nil, fmt.Errorf("look for accounts that are served: %w", err)
	}
	all, err := readmodel.SelectGenerations(ctx, pool, wasEverLive)
	if err != nil {
		return nil, err
	}
	for _, g := range all {
		erased, err := erasedIn(ctx, pool, g, out)
		if err != nil {
			return nil, fmt.Errorf("look into generation %d: %w", g.Number, err)
		}
		out = slices.DeleteFunc(out, func(id events.UUID) bool { return slices.Contains(erased, id) })
	}
	return out, nil
}

// erasedIn are those of the accounts of which the generation has a tombstone.
func erasedIn(ctx context.Context, db pg.Querier, g readmodel.Generation, accounts []events.UUID) ([]events.UUID, error) {
	return accountsWhere(ctx, db, g, accounts, `erased_at IS NOT NULL`)
}

// accountsWhere are those of the accounts for whose rows a condition holds.
func accountsWhere(ctx context.Context, db pg.Querier, g readmodel.Generation, accounts []events.UUID, condition string) ([]events.UUID, error) {
	rows, err := db.Query(ctx, readmodel.InSchema(g.Number, `
SELECT account_id FROM {schema}.account_export WHERE account_id = ANY($1) AND `+condition+` ORDER BY account_id`), uuids(accounts))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanAccountID)
}
