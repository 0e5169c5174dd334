package devstack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/internal/auth/authtest"
	"accountexport/outbox"
)

// SimulateOptions say how the control plane is played.
type SimulateOptions struct {
	Rate      int    // simulated events a second
	Accounts  int    // simulated accounts
	OutboxURL string // a database of its own
	AdminAddr string // where health is served
	Secret    string // the API's, to make a token with; empty: none is made
	Issuer    string // the API's, for the token
	Out       io.Writer
}

// Simulate plays the control plane alone until ctx ends: it speaks to its own database
// and to nobody else. Whoever wants its events runs `projector relay`. What it had made
// up before, it goes on with. Where its database is away later, nothing happens to
// anybody until it is back.
func Simulate(ctx context.Context, opt SimulateOptions) (err error) {
	if ctx.Err() != nil {
		return nil // interrupted before anything started
	}
	defer func() {
		if ctx.Err() != nil {
			err = nil // what ctx interrupted has not failed
		}
	}()
	listener, err := net.Listen("tcp", opt.AdminAddr)
	if err != nil {
		return fmt.Errorf("ADMIN_ADDR: %w", err)
	}
	defer listener.Close()
	starting, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := belongsToSimulation(starting, opt.OutboxURL); err != nil {
		return fmt.Errorf("the database of OUTBOX_DATABASE_URL: %w", err)
	}
	db, err := openControlPlane(starting, opt.OutboxURL)
	if err != nil {
		return fmt.Errorf("the database of OUTBOX_DATABASE_URL: %w", err)
	}
	defer db.Close()
	health := newHealth(ctx, listener, db.Ping)
	defer health.stop()
	if err := seed(starting, db, opt.Accounts); err != nil {
		return err
	}
	plane, err := newControlPlane(starting, db, nil, opt.Accounts)
	if err != nil {
		return err
	}
	if err := opt.introduce(plane.registered.Load()); err != nil {
		return err
	}
	health.started()
	plane.live(ctx, opt.Rate)
	return nil
}

// belongsToSimulation refuses a database that holds anything else than what an earlier
// simulation has left: somebody's own accounts and outbox are not for playing with.
func belongsToSimulation(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var ours, others bool
	err = conn.QueryRow(ctx, `SELECT
        (SELECT count(*) FROM information_schema.columns WHERE table_schema = 'public' AND table_name = 'accounts'
            AND column_name IN ('number', 'id', 'team_id', 'api_keys', 'sandboxes')) = 5,
        EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\_toast%')`).Scan(&ours, &others)
	if err == nil && others && !ours {
		err = errors.New("it holds tables of somebody else, and a simulation needs one of its own: give it an empty database")
	}
	return err
}

// seed writes the accounts' history, with the tiers before it, to the outbox, in the
// transaction that makes the accounts. An earlier call has done so where there are any.
func seed(ctx context.Context, db *pgxpool.Pool, accounts int) error {
	err := pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
		// One that begins at the same time waits, and finds them.
		if _, err := tx.Exec(ctx, `LOCK TABLE accounts IN SHARE ROW EXCLUSIVE MODE`); err != nil {
			return err
		}
		var kept bool
		if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM accounts)`).Scan(&kept); err != nil || kept {
			return err
		}
		lives, messages, err := makeHistory(time.Now(), min(historyAccounts, max(1, accounts/2)))
		if err != nil {
			return err
		}
		for _, a := range lives {
			if err := a.insert(ctx, tx); err != nil {
				return err
			}
		}
		return outbox.Write(ctx, tx, messages...)
	})
	if err != nil {
		return fmt.Errorf("write the accounts' history: %w", err)
	}
	return nil
}

// introduce says what happens, and how to look at it.
func (opt SimulateOptions) introduce(accounts int64) error {
	fmt.Fprintf(opt.Out, "%d accounts, of %d that there will be; %d events a second are written to the outbox, which projector relay publishes\n", accounts, opt.Accounts, opt.Rate)
	account := newLife(0).id
	if opt.Secret == "" {
		fmt.Fprintf(opt.Out, "no token: JWT_SECRET and JWT_ISSUER are not set. The first account is %s\n", account)
		return nil
	}
	token, err := authtest.Mint(opt.Secret, opt.Issuer, account, "user0@example.org", 12*time.Hour)
	if err != nil {
		return err
	}
	fmt.Fprintf(opt.Out, "\nAn export of the first account, with a token that is valid for 12 hours:\n\ncurl -s -H 'Authorization: Bearer %s' http://127.0.0.1:8080/v1/account/export\n\n", token)
	return nil
}
