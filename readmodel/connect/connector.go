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
	Inspecting Purpose = iota // whatever the user may do
	Reading                   // documents
	Writing                   // them, as a member or under a lock
	Migrating                 // the schema
)

// Connector is how a program comes to its database. It is used by one goroutine, but
// for AfterConnect.
type Connector struct {
	Purpose Purpose
	Pool    *pgx.ConnConfig // of DATABASE_URL
	Direct  *pgx.ConnConfig // of DATABASE_DIRECT_URL; nil: as Pool

	sessions atomic.Bool // by Pool
	unpooled bool        // as far as is known
}

// AfterConnect is for the pool: whatever is usual on the server and for the
// user, statements rely on the same settings, where they can be made.
func (l *Connector) AfterConnect(ctx context.Context, conn *pgx.Conn) error {
	if err := RegisterTypes(ctx, conn); err != nil {
		return err
	}
	return pg.ApplySettings(ctx, conn, l.sessions.Load())
}

// ConnectionInfo is what a [Connector] has turned out to be.
type ConnectionInfo struct {
	ServerInfo
	PoolMode  PoolMode
	Sessions  bool // connections by Direct keep their server process
	Uncertain bool // whether they do could not be found out, and is assumed
}

const sessionsBy = ": DATABASE_DIRECT_URL has to name the database past it, or through a pooler of sessions"

// How long a statement may need, by purpose.
const (
	mostOfReading = 10 * time.Second
	mostOfWriting = 10 * time.Minute
)

// Check looks what is between the program and the database, and how that is set
// up. An [ErrMisconfigured] says which setting does not go with it, and what would; any
// other error is that the server cannot be reached yet.
func (l *Connector) Check(ctx context.Context) (f ConnectionInfo, err error) {
	if f.PoolMode, f.ServerInfo, err = detectPoolMode(ctx, l.Pool); err == nil {
		err = checkMode(ctx, l.Pool, f.PoolMode)
	}
	if err == nil && f.PoolMode == TransactionPooling && l.Purpose != Inspecting {
		most := mostOfWriting
		if l.Purpose == Reading {
			most = mostOfReading
		}
		err = f.forTransactions(most)
	}
	if err != nil {
		return f, named("DATABASE_URL", err)
	}
	l.sessions.Store(f.PoolMode == SessionPooling)
	l.unpooled = f.PoolMode == NoPooler
	sessions, setup, setting := f.PoolMode, f.ServerInfo, "DATABASE_URL"
	if l.Direct != nil {
		setting = "DATABASE_DIRECT_URL"
		if sessions, setup, err = detectPoolMode(ctx, l.Direct); err != nil {
			return f, named(setting, err)
		}
	}
	f.Sessions, f.Uncertain = sessions != TransactionPooling, sessions == UnknownPooling
	switch l.Purpose {
	case Reading:
		err = f.CheckReader()
	case Migrating:
		err = setup.CheckMigrator()
	case Writing:
		err = f.CheckProjector()
	}
	if err == nil && l.Purpose >= Writing && !f.Sessions {
		err = named(setting, misconfigured("a pooler of transactions is in between, and this needs a session of its own"+sessionsBy))
	}
	return f, err
}

func named(setting string, err error) error { return fmt.Errorf("%s: %w", setting, err) }

// WarnUncertain says what could not be found out.
func (l *Connector) WarnUncertain(log *slog.Logger, f ConnectionInfo) {
	if f.Uncertain {
		log.Warn("a pooler is between this program and PostgreSQL, which had no connection to spare for finding out whether it pools sessions: " +
			"where it pools transactions, DATABASE_DIRECT_URL has to name the database past it")
	}
}

// CheckUntilReachable checks again and again, where the server could not be reached, until it
// is or ctx ends, which is no error.
func (l *Connector) CheckUntilReachable(ctx context.Context) (f ConnectionInfo, err error) {
	retry := backoff.NewExponentialBackOff()
	retry.InitialInterval, retry.MaxInterval = 4*time.Second, 10*time.Second
	for {
		pg.Sleep(ctx, retry.NextBackOff())
		if ctx.Err() != nil {
			return ConnectionInfo{PoolMode: UnknownPooling, Sessions: true}, nil
		}
		f, err = l.Check(ctx)
		if err == nil || errors.Is(err, ErrMisconfigured) {
			return f, err
		}
	}
}
