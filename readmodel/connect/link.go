package connect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgx/v5"

	"accountexport/readmodel/internal/pg"
)

// Purpose is what a program needs of its database.
type Purpose uint8

// The purposes.
const (
	Looking   Purpose = iota // whatever the user may do
	Reading                  // documents
	Writing                  // them, as a member or under a lock
	Migrating                // the schema
)

// Link is how a program comes to its database. It is used by one goroutine, but
// for AfterConnect.
type Link struct {
	For    Purpose
	Pool   *pgx.ConnConfig // of DATABASE_URL
	Direct *pgx.ConnConfig // of DATABASE_DIRECT_URL; nil: as Pool

	sessions atomic.Bool // by Pool
	straight bool        // as far as is known
}

// AfterConnect is for the pool: whatever is usual on the server and for the
// user, statements rely on the same settings, where they can be made.
func (l *Link) AfterConnect(ctx context.Context, conn *pgx.Conn) error {
	if err := KnowTypes(ctx, conn); err != nil {
		return err
	}
	return pg.ApplySettings(ctx, conn, l.sessions.Load())
}

// Found is what a [Link] has turned out to be.
type Found struct {
	Setup
	Way      Way
	Sessions bool // connections by Direct keep their server process
	Doubt    bool // whether they do could not be found out, and is assumed
}

const sessionsBy = ": DATABASE_DIRECT_URL has to name the database past it, or through a pooler of sessions"

// How long a statement may need, by purpose.
const (
	mostOfReading = 10 * time.Second
	mostOfWriting = 10 * time.Minute
)

// Check looks what is between the program and the database, and how that is set
// up. An [ErrUnfit] says which setting does not go with it, and what would; any
// other error is that the server cannot be reached yet.
func (l *Link) Check(ctx context.Context) (f Found, err error) {
	if f.Way, f.Setup, err = findWay(ctx, l.Pool); err == nil {
		err = checkMode(ctx, l.Pool, f.Way)
	}
	if err == nil && f.Way == Transactions && l.For != Looking {
		most := mostOfWriting
		if l.For == Reading {
			most = mostOfReading
		}
		err = f.forTransactions(most)
	}
	if err != nil {
		return f, named("DATABASE_URL", err)
	}
	l.sessions.Store(f.Way == Sessions)
	l.straight = f.Way == Straight
	sessions, setup, setting := f.Way, f.Setup, "DATABASE_URL"
	if l.Direct != nil {
		setting = "DATABASE_DIRECT_URL"
		if sessions, setup, err = findWay(ctx, l.Direct); err != nil {
			return f, named(setting, err)
		}
	}
	f.Sessions, f.Doubt = sessions != Transactions, sessions == Unsure
	switch l.For {
	case Reading:
		err = f.ForReading()
	case Migrating:
		err = setup.ForMigrating()
	case Writing:
		err = f.ForWriting()
	}
	if err == nil && l.For >= Writing && !f.Sessions {
		err = named(setting, unfit("a pooler of transactions is in between, and this needs a session of its own"+sessionsBy))
	}
	return f, err
}

func named(setting string, err error) error { return fmt.Errorf("%s: %w", setting, err) }

// Doubts says what could not be found out.
func (l *Link) Doubts(log *slog.Logger, f Found) {
	if f.Doubt {
		log.Warn("a pooler is between this program and PostgreSQL, which had no connection to spare for finding out whether it pools sessions: " +
			"where it pools transactions, DATABASE_DIRECT_URL has to name the database past it")
	}
}

// Await checks again and again, where the server could not be reached, until it
// is or ctx ends, which is no error.
func (l *Link) Await(ctx context.Context) (f Found, err error) {
	retry := backoff.NewExponentialBackOff()
	retry.InitialInterval, retry.MaxInterval = 4*time.Second, 10*time.Second
	for {
		pg.Sleep(ctx, retry.NextBackOff())
		if ctx.Err() != nil {
			return Found{Way: Unsure, Sessions: true}, nil
		}
		f, err = l.Check(ctx)
		if err == nil || errors.Is(err, ErrUnfit) {
			return f, err
		}
	}
}
