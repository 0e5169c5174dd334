package admin

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/projections/engine"
	"accountexport/readmodel"
)

// ParkedSelection is the parked messages that a [ParkedFilter] selected at one time.
type ParkedSelection struct {
	Total    int64 // parked messages that it selected from
	Messages []SelectedMessage
	Stream   engine.StreamIdentity // that their positions are of

	// Changed are the positions whose dismissals the methods have changed. Whoever takes
	// back what one call has done selects these and no others.
	Changed []uint64
}

// SelectedMessage is one of those.
type SelectedMessage struct {
	Position  uint64
	Partition int
	Account   *events.UUID
	Tier      string // subject of the quota tier, where it is a sound one
	Dismissed bool
}

// SelectParked selects parked messages of the live generation.
func SelectParked(ctx context.Context, pool *pgxpool.Pool, f ParkedFilter) (c ParkedSelection, err error) {
	g, err := readmodel.LiveGeneration(ctx, pool)
	if err != nil {
		return c, err
	}
	c.Stream = g.Stream
	if err := pool.QueryRow(ctx, readmodel.InSchema(g.Number, `SELECT count(*) FROM {schema}.parked`)).Scan(&c.Total); err != nil {
		return c, fmt.Errorf("count parked messages: %w", err)
	}
	err = f.list(ctx, pool, g, math.MaxInt, func(p Parked) error {
		m := SelectedMessage{Position: p.Position, Partition: p.Partition, Account: p.Account, Dismissed: p.DismissedAt != nil}
		if p.Account == nil && events.ParseSubject(p.Subject).Kind == events.SubjectTier {
			m.Tier = p.Subject
		}
		c.Messages = append(c.Messages, m)
		return nil
	})
	return c, err
}

// Dismissed counts those that were dismissed.
func (c *ParkedSelection) Dismissed() (n int) {
	for _, m := range c.Messages {
		if m.Dismissed {
			n++
		}
	}
	return n
}

// At are those of the messages at these positions.
func (c *ParkedSelection) At(positions []uint64) ParkedSelection {
	some := ParkedSelection{Total: c.Total, Stream: c.Stream}
	wanted := make(map[uint64]bool, len(positions))
	for _, p := range positions {
		wanted[p] = true
	}
	for _, m := range c.Messages {
		if wanted[m.Position] {
			some.Messages = append(some.Messages, m)
		}
	}
	return some
}

// RetryTargets are the accounts and tiers that they are of.
func (c *ParkedSelection) RetryTargets() (r RetryTargets) {
	partitions := map[events.UUID]int{}
	for _, m := range c.Messages {
		switch {
		case m.Account != nil:
			if _, seen := partitions[*m.Account]; !seen {
				r.Accounts = append(r.Accounts, *m.Account)
			}
			partitions[*m.Account] = m.Partition
		case m.Tier != "":
			r.Tiers = append(r.Tiers, m.Tier)
		}
	}
	sortAccounts(r.Accounts)
	slices.SortStableFunc(r.Accounts, func(a, b events.UUID) int { return partitions[a] - partitions[b] })
	slices.Sort(r.Tiers)
	r.Tiers = slices.Compact(r.Tiers)
	return r
}
