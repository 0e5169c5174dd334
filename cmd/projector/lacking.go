package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"accountexport/events"
	"accountexport/internal/stream"
	"accountexport/projections"
	"accountexport/readmodel"
)

// errErasuresLacking means that the ledger of erasures knows accounts that the
// stream holds no erasure of: it was restored from before.
var errErasuresLacking = errors.New("the ledger knows erasures that the stream lacks, or this database")

// askedAtOnce are the questions to the server under way while the ledger is
// compared (measured: 100,000 erasures in below ten seconds on two cores that
// had other work).
const askedAtOnce = 64

// lacking lists those erasures on the ledger that are owed here, or that the
// stream lacks, at most so many; 0 for all. Mostly the event is where the ledger has it, which is one
// question; otherwise the account's messages are read.
func lacking(ctx context.Context, client *stream.Client, pool *pgxpool.Pool, most int) (those []readmodel.Erasure, err error) {
	owed, err := readmodel.OwedErasures(ctx, pool, true)
	if err != nil {
		return nil, err
	}
	for _, o := range owed {
		e, err := readmodel.FindErasure(ctx, pool, o.Account)
		if errors.Is(err, readmodel.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if those = append(those, e); most > 0 && len(those) >= most {
			return those, nil
		}
	}
	info, err := client.Info(ctx)
	if err != nil {
		return nil, err
	}
	var after *events.UUID
	for {
		some, err := readmodel.Erasures(ctx, pool, after, 1000)
		if err != nil || len(some) == 0 {
			return those, err
		}
		after = &some[len(some)-1].Account
		var mu sync.Mutex
		g, gctx := errgroup.WithContext(ctx)
		g.SetLimit(askedAtOnce)
		for _, e := range some {
			g.Go(func() error {
				has, err := client.ErasedAt(gctx, e.Account, e.Position)
				if err != nil || has {
					return err
				}
				if has, err = client.EndsErased(gctx, e.Account, info.Partitions); err != nil || has {
					return err
				}
				first, err := client.FirstErased(gctx, e.Account)
				if err != nil || first.Position > 0 {
					return err
				}
				mu.Lock()
				defer mu.Unlock()
				those = append(those, e)
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			return nil, fmt.Errorf("compare the ledger of erasures with stream %s: %w", client.Stream(), err)
		}
		if most > 0 && len(those) >= most {
			return those[:most], nil
		}
	}
}

// refuseLacking is why nothing may be folded from the stream, where the ledger
// knows erasures that it lacks.
func refuseLacking(those []readmodel.Erasure, stream string) error {
	if len(those) == 0 {
		return nil
	}
	return fmt.Errorf("%w: account %s was erased at %s, and that is not done in stream %s, or not in this database (there may be more): one of them was restored from before. "+
		"Nothing was changed, and what is there is still served. Ways out: restore a later backup; `projector accept`, which says "+
		"who they are and, told --yes, erases them anew; or `projector rebuild`, which does so before it cuts over",
		errErasuresLacking, those[0].Account, those[0].ErasedAt.UTC().Format(time.RFC3339), stream)
}

// ledgerGuard is a [projections.Guard] that also holds the ledger of erasures
// against the stream: at start, before anything is folded, and whenever the
// connection was made anew or the stream is another or has lost its end, since
// it may have been restored meanwhile.
type ledgerGuard struct {
	ctx    context.Context
	client *stream.Client
	pool   *pgxpool.Pool
	log    *slog.Logger
	gaps   *gapGuard

	mu      sync.Mutex
	checked seenStream // compared with the ledger, and found to have all
}

// seenStream is what tells that a stream may have been restored.
type seenStream struct {
	connections uint64
	created     time.Time
	last        uint64
}

// compareWithin is how long comparing may be tried before it is left to the
// next look: the servers are away, and readiness tells so.
const compareWithin = time.Minute

func (l *ledgerGuard) guard(info projections.StreamInfo, have projections.StreamIdentity, lowest, highest uint64) error {
	// Who has to accept the stream does that first.
	if err := guard(l.ctx, l.pool, info, have, lowest, highest); err != nil {
		return err
	}
	if err := l.gaps.guard(l.ctx, info); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := seenStream{l.client.Connections(), info.Created, info.Last}
	if c := l.checked; c.connections == now.connections && c.created.Equal(now.created) && c.last <= now.last {
		l.checked.last = now.last
		return nil
	}
	ctx, cancel := context.WithTimeout(l.ctx, compareWithin)
	defer cancel()
	var those []readmodel.Erasure
	var err error
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		if those, err = lacking(ctx, l.client, l.pool, 1); err == nil {
			break
		}
		select {
		case <-ctx.Done():
			l.log.Warn("the ledger of erasures is not compared with the stream yet", "error", err)
			return nil
		case <-time.After(wait):
		}
	}
	if err := refuseLacking(those, l.client.Stream()); err != nil {
		return err
	}
	l.checked = now
	return nil
}
