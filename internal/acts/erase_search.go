package acts

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/internal/stream"
	"accountexport/projections"
	"accountexport/projections/engine"
	"accountexport/readmodel/admin"
)

// found is what a search of a stream for an account has found.
type found struct {
	searched  int
	own       []uint64 // the account's, beside the first erased event
	strays    []uint64 // on subjects that name nobody, and that speak of it
	subjects  []string // of those
	elsewhere []uint64 // of others, that speak of it

	unreadable uint64 // messages that the server counts and cannot give, as was accepted
}

func (f *found) left() int { return len(f.own) + len(f.strays) }

// errProvesNothing means that a search did not see what the stream says it holds.
var errProvesNothing = errors.New("the search proves nothing")

// search looks through a whole stream, up to its end at the call, for what
// speaks of an account. keep is the position of the event that stays.
func search(ctx context.Context, client *stream.Client, account events.UUID, n identifiers, keep uint64) (f found, err error) {
	return f, client.ReadAll(ctx, func(m projections.Message) error {
		f.see(m, account, n, keep)
		return nil
	})
}

func (f *found) see(m projections.Message, account events.UUID, n identifiers, keep uint64) {
	f.searched++
	to := events.ParseSubject(m.Subject)
	switch own := to.Kind == events.SubjectAccount && to.Account == account; {
	case m.Position == keep && own:
	case own:
		f.own = append(f.own, m.Position)
	case !n.matchMessage(m):
	case mayMean(to, account) && unattributed(to, m):
		f.strays, f.subjects = append(f.strays, m.Position), append(f.subjects, m.Subject)
	default:
		f.elsewhere = append(f.elsewhere, m.Position)
	}
}

// unattributed tells whether a message is no account's and no tier's: it is on a
// subject of neither kind, or on a tier's, and no tier accepts it.
func unattributed(to events.Subject, m projections.Message) bool {
	if to.Kind != events.SubjectTier {
		return to.Kind == events.SubjectUnsound
	}
	d, err := projections.Decode(m)
	return err != nil || d.Invalid != nil
}

// mayMean tells whether what is of nobody can have been meant for an account: a
// tier's subject can only where it has the account's id.
func mayMean(to events.Subject, account events.UUID) bool {
	return to.Kind == events.SubjectUnsound || to.Tier == account.String()
}

// searches is how often a search is made whose count is not what it should be.
const searches = 3

// searchAll is a search that has seen every message there was: as many as the
// stream held, less those that were removed meanwhile. It is made again where
// the count is another, and then ends with [errProvesNothing].
func searchAll(ctx context.Context, client *stream.Client, pool *pgxpool.Pool, account events.UUID, n identifiers, keep uint64) (f found, err error) {
	for range searches {
		if f, err = searchOnce(ctx, client, pool, account, n, keep); !errors.Is(err, errProvesNothing) {
			return f, err
		}
	}
	// Which they are is looked for, and noted, so that somebody can decide.
	g := Gaps{Target{Stream: client, Pool: pool}}
	passed, lookErr := g.unread(ctx, 0)
	if lookErr != nil || len(passed) == 0 {
		return f, errors.Join(err, lookErr)
	}
	info, lookErr := client.Info(ctx)
	if lookErr == nil && client.IsCopy() {
		return f, fmt.Errorf("%w. Its server cannot give those at %v, whoseever they are: remove that copy, and make it anew", err, passed)
	}
	if lookErr == nil {
		lookErr = admin.SetUndelivered(ctx, pool, info, passed)
	}
	return f, errors.Join(fmt.Errorf("%w. Its server cannot give those at %v, whoseever they are: restore the stream from a backup that holds them; or "+
		"`projector accept` takes them for lost, and then this can be proven of all others", err, passed), lookErr)
}

func searchOnce(ctx context.Context, client *stream.Client, pool *pgxpool.Pool, account events.UUID, n identifiers, keep uint64) (f found, err error) {
	before, err := client.Info(ctx)
	if err != nil {
		return f, err
	}
	err = client.ReadTo(ctx, before.Last, func(m projections.Message) error {
		f.see(m, account, n, keep)
		return nil
	})
	if err != nil {
		return f, err
	}
	f.unreadable, err = counted(ctx, client, pool, before, f.searched)
	return f, err
}

// counted holds how many messages were read of a stream up to its end against
// how many it said that it held before, less those that were removed meanwhile.
// Those that its server counts as there and cannot give to anybody, which
// somebody has accepted as lost, are not read; it returns how many they are.
func counted(ctx context.Context, client *stream.Client, pool *pgxpool.Pool, before engine.StreamInfo, read int) (unreadable uint64, err error) {
	after, err := client.Info(ctx)
	if err != nil {
		return 0, err
	}
	// What came after the end that was asked for is not counted.
	held, all := before.Messages, before.Messages+after.Last-before.Last
	removed := all - min(all, after.Messages)
	seen := uint64(read)
	if seen <= held && seen+removed >= held {
		return 0, nil
	}
	if seen <= held {
		if unreadable, err = accepted(ctx, client, pool); err != nil {
			return 0, err
		}
		if seen+removed+unreadable >= held {
			return unreadable, nil
		}
	}
	return 0, fmt.Errorf("%w: stream %s says that it held %d messages up to %d, of which %d were removed meanwhile, and %d were read: "+
		"has its server lost some? `projector status` may say which", errProvesNothing, client.Stream(), held, before.Last, removed, seen)
}

// accepted is how many messages the server counts as there that were accepted as
// lost, and that it still cannot give.
func accepted(ctx context.Context, client *stream.Client, pool *pgxpool.Pool) (uint64, error) {
	info, gone, err := client.Deleted(ctx)
	if err != nil {
		return 0, err
	}
	known, err := admin.KnownMissing(ctx, pool, info)
	if err != nil {
		return 0, err
	}
	absent, err := client.Absent(ctx, known.Without(gone))
	return absent.Count(), err
}
