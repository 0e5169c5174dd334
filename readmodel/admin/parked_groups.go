package admin

import (
	"context"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
)

// What parked messages are grouped by.
const (
	ByType    = "type"
	ByReason  = "reason" // masked
	ByAccount = "account"
)

// ParkedGroup is parked messages that are alike.
type ParkedGroup struct {
	Key          string // type without controlplane., masked reason, or account; empty where there is none
	Messages     int64
	Dismissed    int64     // those of them that were dismissed
	Accounts     int64     // how many accounts they are of
	First, Last  uint64    // positions
	Since, Until time.Time // when those two were sent
}

// GroupParked puts the parked messages of the live generation that match into
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
		entry := groups[key]
		if entry == nil {
			entry = &group{ParkedGroup{Key: key, First: p.Position, Since: p.SentAt}, map[events.UUID]bool{}}
			groups[key] = entry
		}
		if entry.Messages++; p.DismissedAt != nil {
			entry.Dismissed++
		}
		if p.Account != nil {
			entry.accounts[*p.Account] = true
		}
		entry.Last, entry.Until = p.Position, p.SentAt
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
