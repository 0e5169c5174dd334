package document

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/bench/peers/internal/event"
)

const schema = `
CREATE TABLE IF NOT EXISTS documents (account_id uuid PRIMARY KEY, position bigint NOT NULL, document jsonb COMPRESSION lz4 NOT NULL);
CREATE TABLE IF NOT EXISTS tiers (id text PRIMARY KEY, position bigint NOT NULL, tier jsonb NOT NULL)`

// Store keeps documents as rows of jsonb.
type Store struct {
	pool *pgxpool.Pool
	log  *slog.Logger
}

// Open connects to a database, and makes the tables that are missing.
func Open(ctx context.Context, url string, log *slog.Logger) (*Store, error) {
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return nil, err
	}
	if _, err := pool.Exec(ctx, schema); err != nil {
		pool.Close()
		return nil, fmt.Errorf("making the tables: %w", err)
	}
	return &Store{pool, log}, nil
}

// Close gives the connections back.
func (s *Store) Close() { s.pool.Close() }

// Handle applies a message, and commits. It may be called again with a message that it
// has applied already: the row's position says so. What is wrong with a message is
// logged, since it would be wrong again; an error is the database's, and to be retried.
func (s *Store) Handle(ctx context.Context, subject string, data []byte, position uint64) error {
	e, err := event.Parse(subject, data, position)
	if err != nil {
		s.log.Warn("refused", "position", position, "reason", err)
		return nil
	}
	if e.Tier != "" {
		tier, err := json.Marshal(Tier{e.Data.ID, e.Data.DisplayName.Value, e.Data.MaxConcurrentSandboxes, e.Data.DailySandboxCreates, e.Data.DailyGBHours})
		if err != nil {
			return err
		}
		_, err = s.pool.Exec(ctx, `
INSERT INTO tiers VALUES ($1, $2, $3) ON CONFLICT (id) DO UPDATE SET position = excluded.position, tier = excluded.tier
WHERE tiers.position < excluded.position`, e.Tier, position, tier)
		return err
	}
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		d, reached := New(), uint64(0)
		var text []byte
		err := tx.QueryRow(ctx, `SELECT position, document FROM documents WHERE account_id = $1 FOR UPDATE`, e.Account).Scan(&reached, &text)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
		case err != nil:
			return err
		case reached >= position:
			return nil
		default:
			if err := json.Unmarshal(text, d); err != nil {
				return fmt.Errorf("the document of %s: %w", e.Account, err)
			}
		}
		if err := d.Apply(e); err != nil {
			s.log.Warn("refused", "position", position, "reason", err)
		}
		if text, err = json.Marshal(d); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `
INSERT INTO documents VALUES ($1, $2, $3) ON CONFLICT (account_id) DO UPDATE SET position = excluded.position, document = excluded.document`,
			e.Account, position, text)
		return err
	})
}
