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

// Purpose is what a program needs its database for.
type Purpose uint8

// The purposes.
const (
	Inspecting Purpose = iota // whatever the user may do
	Reading                   // reads documents
	Writing                   // writes them, as a member or under a lock
	Migrating                 // migrates the schema
)

// Connector is how a program connects to its database. It is for one goroutine, but
// for AfterConnect, which is safe for concurrent use.
type Connector struct {
	Purpose Purpose
	Pool    *pgx.ConnConfig // of DATABASE_URL
	Direct  *pgx.ConnConfig // of DATABASE_DIRECT_URL; nil: as Pool

	sessions atomic.Bool // connections by Pool keep their sessions; set by Check
	unpooled bool        // Check has found no pooler in Pool's way
}

// AfterConnect is for pools: it registers types, and makes the settings that
// statements rely on, as far as settings can be made.
func (c *Connector) AfterConnect(ctx context.Context, conn *pgx.Conn) error {
	if err := RegisterTypes(ctx, conn); err != nil {
		return err
	}
	return pg.ApplySettings(ctx, conn, c.sessions.Load())
}

// ConnectionInfo is what [Connector.Check] has found out.
type ConnectionInfo struct {
	ServerInfo
	PoolMode  PoolMode
	Sessions  bool // connections by Direct keep their server process
	Uncertain bool // whether they do could not be found out, and is assumed
}

const directURLHint = ": DATABASE_DIRECT_URL has to name the database past it, or through a pooler of sessions"

// How long a statement may take, by purpose.
const (
	maxReadTime  = 10 * time.Second
	maxWriteTime = 10 * time.Minute
)

// Check finds out what is between the program and the database, and how the database
// is set up. An [ErrMisconfigured] says which setting does not go with that, and what
// would; any other error is that the server cannot be reached yet.
func (c *Connector) Check(ctx context.Context) (info ConnectionInfo, err error) {
	if info.PoolMode, info.ServerInfo, err = detectPoolMode(ctx, c.Pool); err == nil {
		err = checkExecMode(ctx, c.Pool, info.PoolMode)
	}
	if err == nil && info.PoolMode == TransactionPooling && c.Purpose != Inspecting {
		maxTime := maxWriteTime
		if c.Purpose == Reading {
			maxTime = maxReadTime
		}
		err = info.checkTransactionPooling(maxTime)
	}
	if err != nil {
		return info, forSetting("DATABASE_URL", err)
	}
	c.sessions.Store(info.PoolMode == SessionPooling)
	c.unpooled = info.PoolMode == NoPooler
	directMode, directInfo, setting := info.PoolMode, info.ServerInfo, "DATABASE_URL"
	if c.Direct != nil {
		setting = "DATABASE_DIRECT_URL"
		if directMode, directInfo, err = detectPoolMode(ctx, c.Direct); err != nil {
			return info, forSetting(setting, err)
		}
	}
	info.Sessions, info.Uncertain = directMode != TransactionPooling, directMode == UnknownPooling
	switch c.Purpose {
	case Reading:
		err = info.CheckReader()
	case Migrating:
		err = directInfo.CheckMigrator()
	case Writing:
		err = info.CheckProjector()
	}
	if err == nil && c.Purpose >= Writing && !info.Sessions {
		err = forSetting(setting, misconfigured("a pooler of transactions is in between, and this needs a session of its own"+directURLHint))
	}
	return info, err
}

func forSetting(setting string, err error) error { return fmt.Errorf("%s: %w", setting, err) }

// WarnUncertain logs what Check could not find out.
func (c *Connector) WarnUncertain(log *slog.Logger, info ConnectionInfo) {
	if info.Uncertain {
		log.Warn("a pooler is between this program and PostgreSQL, which had no connection to spare for finding out whether it pools sessions: " +
			"where it pools transactions, DATABASE_DIRECT_URL has to name the database past it")
	}
}

// unknownChecks is how often CheckUntilReachable looks at a pooler whose mode it cannot find out.
const unknownChecks = 5

// CheckUntilReachable is [Connector.Check], again and again while the server cannot be
// reached, until ctx ends, which is no error. A pooler whose mode could not be found
// out, as where the machine was too busy to answer in time, is looked at a few times
// before that is the result.
func (c *Connector) CheckUntilReachable(ctx context.Context) (info ConnectionInfo, err error) {
	retry := backoff.NewExponentialBackOff()
	retry.InitialInterval, retry.MaxInterval = 4*time.Second, 10*time.Second
	unknown := 0
	for {
		pg.Sleep(ctx, retry.NextBackOff())
		if ctx.Err() != nil {
			return ConnectionInfo{PoolMode: UnknownPooling, Sessions: true}, nil
		}
		info, err = c.Check(ctx)
		if err == nil && info.PoolMode == UnknownPooling && unknown < unknownChecks {
			unknown++
			continue
		}
		if err == nil || errors.Is(err, ErrMisconfigured) {
			return info, err
		}
	}
}
