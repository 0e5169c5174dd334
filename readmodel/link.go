package readmodel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
)

// Link is how a program comes to its database.
type Link struct {
	Pool   *pgx.ConnConfig // of DATABASE_URL
	Direct *pgx.ConnConfig // of DATABASE_DIRECT_URL; nil: as Pool
}

// Found is what a [Link] has turned out to be.
type Found struct {
	Way      Way
	Sessions bool // connections by Direct keep their server process
	Doubt    bool // whether they do could not be found out, and is assumed
}

const sessionsBy = ": DATABASE_DIRECT_URL has to name the database past it, or through a pooler of sessions"

// Check looks what is between the program and the database. An [ErrUnfit] says
// which setting does not go with it, and what would; any other error is that
// the server cannot be reached yet.
func (l Link) Check(ctx context.Context) (f Found, err error) {
	if f.Way, err = FindWay(ctx, l.Pool); err == nil {
		err = CheckMode(ctx, l.Pool, f.Way)
	}
	if err != nil {
		return f, named("DATABASE_URL", err)
	}
	sessions := f.Way
	if l.Direct != nil {
		if sessions, err = FindWay(ctx, l.Direct); err != nil {
			return f, named("DATABASE_DIRECT_URL", err)
		}
	}
	f.Sessions, f.Doubt = sessions != Transactions, sessions == Unsure
	return f, nil
}

func named(setting string, err error) error { return fmt.Errorf("%s: %w", setting, err) }

// NeedSessions is an [ErrUnfit] where connections do not keep their server
// process, for a program that listens, is a member or holds a lock.
func (l Link) NeedSessions(f Found) error {
	switch {
	case f.Sessions:
		return nil
	case l.Direct != nil:
		return named("DATABASE_DIRECT_URL", unfit("a pooler of transactions is in between, and this needs a session of its own"+sessionsBy))
	}
	return named("DATABASE_URL", unfit("a pooler of transactions is in between, and this needs a session of its own beside"+sessionsBy))
}

// Doubts says what could not be found out.
func (l Link) Doubts(log *slog.Logger, f Found) {
	if f.Doubt {
		log.Warn("a pooler is between this program and PostgreSQL, which had no connection to spare for finding out whether it pools sessions: " +
			"where it pools transactions, DATABASE_DIRECT_URL has to name the database past it")
	}
}

// checkAgain is how long after the last try a server is asked that could not be
// reached.
const checkAgain = time.Second

// Await checks until the server has been reached or ctx ends, which is no error.
func (l Link) Await(ctx context.Context) (f Found, err error) {
	for {
		f, err = l.Check(ctx)
		if err == nil || errors.Is(err, ErrUnfit) {
			return f, err
		}
		wait(ctx, checkAgain)
		if ctx.Err() != nil {
			return Found{Way: Unsure, Sessions: true}, nil
		}
	}
}
