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

// searchResult is what a search of a stream for an account has found: positions.
type searchResult struct {
	searched  int
	own       []uint64 // messages of the account, beside the first account.erased
	strays    []uint64 // messages on subjects of no account that mention it
	subjects  []string // subjects of the strays
	elsewhere []uint64 // messages of other accounts that mention it

	unreadable uint64 // how many messages the server counts and cannot deliver, which were accepted as lost
}

func (f *searchResult) remaining() int { return len(f.own) + len(f.strays) }

// errProvesNothing means that a search has not read as many messages as the stream
// holds.
var errProvesNothing = errors.New("the search proves nothing")

// search reads a stream up to its end at the time of the call, and finds what mentions
// an account. keep is the position of the event that stays.
func search(ctx context.Context, client *stream.Client, account events.UUID, n identifiers, keep uint64) (f searchResult, err error) {
	return f, client.ReadAll(ctx, func(m projections.Message) error {
		f.add(m, account, n, keep)
		return nil
	})
}

func (f *searchResult) add(m projections.Message, account events.UUID, n identifiers, keep uint64) {
	f.searched++
	to := events.ParseSubject(m.Subject)
	switch own := to.Kind == events.SubjectAccount && to.Account == account; {
	case m.Position == keep && own:
	case own:
		f.own = append(f.own, m.Position)
	case !n.matchMessage(m):
	case mayBeMeantFor(to, account) && unattributed(to, m):
		f.strays, f.subjects = append(f.strays, m.Position), append(f.subjects, m.Subject)
	default:
		f.elsewhere = append(f.elsewhere, m.Position)
	}
}

// unattributed tells whether a message belongs to no account and to no tier: its
// subject is of neither kind, or it is the subject of a tier that does not accept it.
func unattributed(to events.Subject, m projections.Message) bool {
	if to.Kind != events.SubjectTier {
		return to.Kind == events.SubjectUnsound
	}
	d, err := projections.Decode(m)
	return err != nil || d.Invalid != nil
}

// mayBeMeantFor tells whether a message that belongs to no account can have been meant
// for this one: one on the subject of a tier only where the tier has the id of the
// account.
func mayBeMeantFor(to events.Subject, account events.UUID) bool {
	return to.Kind == events.SubjectUnsound || to.Tier == account.String()
}

// maxSearches is how often a search is repeated that has read another number of
// messages than the stream holds.
const maxSearches = 3

// searchAll is search, and has read every message: as many as the stream held, less
// those that were removed meanwhile. Where the numbers differ it searches again, and in
// the end fails with [errProvesNothing].
func searchAll(ctx context.Context, client *stream.Client, pool *pgxpool.Pool, account events.UUID, n identifiers, keep uint64) (f searchResult, err error) {
	for range maxSearches {
		if f, err = searchOnce(ctx, client, pool, account, n, keep); !errors.Is(err, errProvesNothing) {
			return f, err
		}
	}
	// Find the messages that are not delivered, and record them, so that somebody can
	// decide about them.
	g := Gaps{Target{Stream: client, Pool: pool}}
	undelivered, findErr := g.findUndelivered(ctx, 0)
	if findErr != nil || len(undelivered) == 0 {
		return f, errors.Join(err, findErr)
	}
	info, findErr := client.Info(ctx)
	if findErr == nil && client.IsCopy() {
		return f, fmt.Errorf("%w. Its server cannot give those at %v, whoseever they are: remove that copy, and make it anew", err, undelivered)
	}
	if findErr == nil {
		findErr = admin.SetUndelivered(ctx, pool, info, undelivered)
	}
	return f, errors.Join(fmt.Errorf("%w. Its server cannot give those at %v, whoseever they are: restore the stream from a backup that holds them; or "+
		"`projector accept` takes them for lost, and then this can be proven of all others", err, undelivered), findErr)
}

func searchOnce(ctx context.Context, client *stream.Client, pool *pgxpool.Pool, account events.UUID, n identifiers, keep uint64) (f searchResult, err error) {
	before, err := client.Info(ctx)
	if err != nil {
		return f, err
	}
	err = client.ReadTo(ctx, before.Last, func(m projections.Message) error {
		f.add(m, account, n, keep)
		return nil
	})
	if err != nil {
		return f, err
	}
	f.unreadable, err = checkCount(ctx, client, pool, before, f.searched)
	return f, err
}

// checkCount compares the number of messages that were read with the number that the
// stream held before, less those that were removed meanwhile. Messages that the server
// counts and cannot deliver, and that were accepted as lost, are not read: it returns
// how many there are.
func checkCount(ctx context.Context, client *stream.Client, pool *pgxpool.Pool, before engine.StreamInfo, read int) (unreadable uint64, err error) {
	after, err := client.Info(ctx)
	if err != nil {
		return 0, err
	}
	// Messages after the end that was read to do not count.
	held, all := before.Messages, before.Messages+after.Last-before.Last
	removed := all - min(all, after.Messages)
	seen := uint64(read)
	if seen <= held && seen+removed >= held {
		return 0, nil
	}
	if seen <= held {
		if unreadable, err = countAccepted(ctx, client, pool); err != nil {
			return 0, err
		}
		if seen+removed+unreadable >= held {
			return unreadable, nil
		}
	}
	return 0, fmt.Errorf("%w: stream %s says that it held %d messages up to %d, of which %d were removed meanwhile, and %d were read: "+
		"has its server lost some? `projector status` may say which", errProvesNothing, client.Stream(), held, before.Last, removed, seen)
}

// countAccepted counts the messages that were accepted as lost, and that the server
// still counts and cannot deliver.
func countAccepted(ctx context.Context, client *stream.Client, pool *pgxpool.Pool) (uint64, error) {
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
