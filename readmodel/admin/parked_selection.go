package admin

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/projections/engine"
	"accountexport/readmodel"
)

// ParkedSelection is what a [ParkedFilter] means at one time.
type ParkedSelection struct {
	Total    int64 // messages that were parked, of which these were chosen
	Messages []SelectedMessage
	Stream   engine.StreamIdentity // that their positions are of
}

// SelectedMessage is one of those.
type SelectedMessage struct {
	Position  uint64
	Partition int
	Account   *events.UUID
	Tier      string // subject of the quota tier, where it is a sound one
	Dismissed bool
}

// Dismissed counts those that no longer count.
func (c *ParkedSelection) Dismissed() (n int) {
	for _, m := range c.Messages {
		if m.Dismissed {
			n++
		}
	}
	return n
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

// SelectParked finds the parked messages of the live generation that are meant.
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

// What parked messages are grouped by.
const (
	ByType    = "type"
	ByReason  = "reason" // masked
	ByAccount = "account"
)

// ParkedGroup are parked messages that are alike.
type ParkedGroup struct {
	Key          string // type without controlplane., masked reason, or account; empty where there is none
	Messages     int64
	Dismissed    int64     // those of them that no longer count
	Accounts     int64     // that they are of
	First, Last  uint64    // positions
	Since, Until time.Time // when those were sent
}

// GroupParked puts the parked messages of the live generation that are meant into
// groups, the largest first.
func GroupParked(ctx context.Context, pool *pgxpool.Pool, f ParkedFilter, by string) ([]ParkedGroup, error) {
	type group struct {
		ParkedGroup
		accounts map[events.UUID]bool
	}
	groups := map[string]*group{}
	err := ListParked(ctx, pool, f, math.MaxInt, func(p Parked) error {
		key := ""
		switch {
		case by == ByType:
			key = strings.TrimPrefix(p.Type, "controlplane.")
		case by == ByReason:
			key = events.MaskReason(p.Reason)
		case p.Account != nil:
			key = p.Account.String()
		}
		is := groups[key]
		if is == nil {
			is = &group{ParkedGroup{Key: key, First: p.Position, Since: p.SentAt}, map[events.UUID]bool{}}
			groups[key] = is
		}
		if is.Messages++; p.DismissedAt != nil {
			is.Dismissed++
		}
		if p.Account != nil {
			is.accounts[*p.Account] = true
		}
		is.Last, is.Until = p.Position, p.SentAt
		return nil
	})
	out := make([]ParkedGroup, 0, len(groups))
	for _, g := range groups {
		g.Accounts = int64(len(g.accounts))
		out = append(out, g.ParkedGroup)
	}
	slices.SortFunc(out, func(a, b ParkedGroup) int {
		if a.Messages != b.Messages {
			return int(b.Messages - a.Messages)
		}
		return strings.Compare(a.Key, b.Key)
	})
	return out, err
}
