package main

import (
	"context"
	"errors"
	"fmt"

	"accountexport/events"
	"accountexport/internal/stream"
	"accountexport/projections"
)

// found is what a search of a stream for an account has found.
type found struct {
	searched  int
	own       []uint64 // the account's, beside the first erased event
	strays    []uint64 // on subjects that name nobody, and that speak of it
	subjects  []string // of those
	elsewhere []uint64 // of others, that speak of it
}

func (f *found) left() int { return len(f.own) + len(f.strays) }

// errProvesNothing means that a search did not see what the stream says it holds.
var errProvesNothing = errors.New("the search proves nothing")

// search looks through a whole stream, up to its end at the call, for what
// speaks of an account. keep is the position of the event that stays.
func search(ctx context.Context, client *stream.Client, account events.UUID, n needles, keep uint64) (f found, err error) {
	return f, client.ReadAll(ctx, func(m projections.Message) error {
		f.see(m, account, n, keep)
		return nil
	})
}

func (f *found) see(m projections.Message, account events.UUID, n needles, keep uint64) {
	f.searched++
	to := events.ParseSubject(m.Subject)
	switch own := to.Kind == events.SubjectAccount && to.Account == account; {
	case m.Position == keep && own:
	case own:
		f.own = append(f.own, m.Position)
	case !n.inMessage(m):
	case to.Kind == events.SubjectUnsound || to.Tier == account.String() && unsound(m):
		f.strays, f.subjects = append(f.strays, m.Position), append(f.subjects, m.Subject)
	default:
		f.elsewhere = append(f.elsewhere, m.Position)
	}
}

// unsound tells whether a message is parked for its own sake.
func unsound(m projections.Message) bool {
	d, err := projections.Decode(m)
	return err != nil || d.Invalid != nil
}

// searches is how often a search is made whose count is not what it should be.
const searches = 3

// searchAll is a search that has seen every message there was: as many as the
// stream held, less those that were removed meanwhile. It is made again where
// the count is another, and then ends with [errProvesNothing].
func searchAll(ctx context.Context, client *stream.Client, account events.UUID, n needles, keep uint64) (f found, err error) {
	for range searches {
		if f, err = searchOnce(ctx, client, account, n, keep); !errors.Is(err, errProvesNothing) {
			break
		}
	}
	return f, err
}

func searchOnce(ctx context.Context, client *stream.Client, account events.UUID, n needles, keep uint64) (f found, err error) {
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
	return f, counted(ctx, client, before, f.searched)
}

// counted holds how many messages were read of a stream up to its end against
// how many it said that it held before, less those that were removed meanwhile.
func counted(ctx context.Context, client *stream.Client, before projections.StreamInfo, read int) error {
	after, err := client.Info(ctx)
	if err != nil {
		return err
	}
	// What came after the end that was asked for is not counted.
	held, all := before.Messages, before.Messages+after.Last-before.Last
	removed := all - min(all, after.Messages)
	if seen := uint64(read); seen > held || seen+removed < held {
		return fmt.Errorf("%w: stream %s says that it held %d messages up to %d, of which %d were removed meanwhile, and %d were read: "+
			"has its server lost some? Its log may say", errProvesNothing, client.Stream(), held, before.Last, removed, seen)
	}
	return nil
}
