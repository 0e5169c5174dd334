package devstack

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/internal/stream"
	"accountexport/outbox"
)

// controlPlane is a simulated control plane with a database of its own. What happens
// to an account changes its row there, and is told in events, which the same
// transaction writes to the outbox; `projector relay` publishes them. Several writers
// do that at a time, and the account's row, locked first, has those of one account take
// turns.
type controlPlane struct {
	db         *pgxpool.Pool
	notifier   *outbox.Notifier
	client     *stream.Client // for what no outbox would hold; nil: such does not happen
	accounts   int            // that there are to be
	registered atomic.Int64   // those numbered below this
	attempted  atomic.Int64   // events written, or tried

	mu  sync.Mutex // held while events are made, with the account's row locked
	sim *simulation
}

// writers is how many transactions run at a time.
const writers = 8

// controlPlaneState is all that the simulated control plane keeps beside its outbox.
const controlPlaneState = `CREATE TABLE IF NOT EXISTS accounts (
    number    integer PRIMARY KEY,
    id        uuid NOT NULL UNIQUE,
    team_id   uuid NOT NULL,
    api_keys  uuid[] NOT NULL,
    sandboxes text[] NOT NULL -- that were not destroyed
)`

// openControlPlane connects to its database, and creates its tables unless an earlier
// run did.
func openControlPlane(ctx context.Context, url string) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	cfg.MaxConns = writers + 2 // registrations and notices, and the figures that are printed
	db, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, err
	}
	err = db.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
		if _, err := conn.Exec(ctx, controlPlaneState); err != nil {
			return err
		}
		return outbox.Migrate(ctx, conn.Conn())
	})
	if err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

// newControlPlane goes on with the accounts that are in the database.
func newControlPlane(ctx context.Context, db *pgxpool.Pool, client *stream.Client, accounts int) (*controlPlane, error) {
	p := &controlPlane{sim: newSimulation("sim", time.Now), db: db, notifier: outbox.NewNotifier(db, nil), client: client, accounts: accounts}
	var registered int64
	if err := db.QueryRow(ctx, `SELECT count(*) FROM accounts`).Scan(&registered); err != nil {
		return nil, fmt.Errorf("the accounts of the control plane: %w", err)
	}
	p.registered.Store(registered)
	return p, nil
}

// insert adds an account to the state.
func (a *life) insert(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `INSERT INTO accounts (number, id, team_id, api_keys, sandboxes) VALUES ($1, $2, $3, $4::text[]::uuid[], $5)`,
		a.number, a.id.String(), a.team.String(), texts(a.keys), a.sandboxes)
	return err
}

// update changes it there.
func (a *life) update(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `UPDATE accounts SET api_keys = $2::text[]::uuid[], sandboxes = $3 WHERE number = $1`, a.number, texts(a.keys), a.sandboxes)
	return err
}

func texts(ids []events.UUID) []string {
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = id.String()
	}
	return out
}

// loadLife reads an account, and locks it until the transaction ends.
func loadLife(ctx context.Context, tx pgx.Tx, number int) (*life, error) {
	a := newLife(number)
	var keys []string
	if err := tx.QueryRow(ctx, `SELECT api_keys::text[], sandboxes FROM accounts WHERE number = $1 FOR UPDATE`, number).Scan(&keys, &a.sandboxes); err != nil {
		return nil, err
	}
	for _, key := range keys {
		id, err := events.ParseUUID(key)
		if err != nil {
			return nil, err
		}
		a.keys = append(a.keys, id)
	}
	return a, nil
}

// register has the next account register: its row and its events are there together.
func (p *controlPlane) register(ctx context.Context) error {
	a := newLife(int(p.registered.Load()))
	err := p.write(ctx, func(tx pgx.Tx) ([]events.Message, error) {
		p.mu.Lock()
		messages, err := p.sim.registration(a)
		p.mu.Unlock()
		if err != nil {
			return nil, err
		}
		return messages, a.insert(ctx, tx)
	})
	if err == nil {
		p.registered.Add(1)
	}
	return err
}

// step lets something happen to a random account.
func (p *controlPlane) step(ctx context.Context) error {
	p.mu.Lock()
	number := p.sim.rng.IntN(min(int(p.registered.Load()), p.accounts))
	p.mu.Unlock()
	var stray *events.Message
	err := p.write(ctx, func(tx pgx.Tx) ([]events.Message, error) {
		a, err := loadLife(ctx, tx, number)
		if err != nil {
			return nil, err
		}
		p.mu.Lock()
		messages, anonymous, err := p.sim.something(a)
		p.mu.Unlock()
		if err != nil {
			return nil, err
		}
		if anonymous {
			stray, messages = &messages[0], nil
		}
		return messages, a.update(ctx, tx)
	})
	if err == nil && stray != nil && p.client != nil {
		_, err = p.client.PublishRaw(ctx, *stray)
	}
	return err
}

// write runs one transaction that changes the state, and that writes the events which
// change returns. Then it wakes the relay.
func (p *controlPlane) write(ctx context.Context, change func(pgx.Tx) ([]events.Message, error)) error {
	err := pgx.BeginFunc(ctx, p.db, func(tx pgx.Tx) error {
		messages, err := change(tx)
		if err != nil {
			return err
		}
		p.attempted.Add(int64(max(0, len(messages)-1)))
		return outbox.Writer{Park: true}.Write(ctx, tx, messages...) // some are broken, to show what parking is
	})
	if err == nil {
		p.notifier.Committed()
	}
	return err
}

// live registers the accounts that are missing, and lets something happen to all of
// them at a rate of events, until ctx ends. A writer begins a transaction once its last
// one is on disk, so a slow disk lowers the rate. One that fails is skipped: it is the
// servers' failure and may pass.
func (p *controlPlane) live(ctx context.Context, rate int) {
	turns := make(chan struct{})
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range turns {
				_ = p.step(ctx)
			}
		})
	}
	defer p.notifier.Close(context.WithoutCancel(ctx))
	defer wg.Wait()
	defer close(turns)
	start := time.Now()
	p.attempted.Store(0)
	for turn := 0; ; turn++ {
		due := start.Add(time.Duration(p.attempted.Load()) * time.Second / time.Duration(rate))
		if time.Since(due) > time.Second { // too late to catch up
			start = time.Now()
			p.attempted.Store(0)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(due)):
		}
		p.attempted.Add(1) // and those that it has more, once they are known
		if int(p.registered.Load()) < p.accounts && turn%2 == 0 {
			_ = p.register(ctx)
			continue
		}
		select {
		case <-ctx.Done():
			return
		case turns <- struct{}{}:
		}
	}
}
