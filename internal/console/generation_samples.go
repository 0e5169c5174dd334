package console

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/gorilla/mux"

	"accountexport/events"
	"accountexport/internal/acts"
	"accountexport/internal/cli"
	"accountexport/readmodel"
	"accountexport/readmodel/admin"
)

// comparedView is the screen of one account in two generations, side by side.
type comparedView struct {
	Account    string            `json:"account"`
	Live       comparedSide      `json:"live"`
	Other      comparedSide      `json:"other"`
	Sections   []comparedSection `json:"sections"` // those that differ
	Masked     bool              `json:"masked"`
	Comparison string            `json:"comparison"` // the act that has found it; empty where the address names none
	Before     string            `json:"before"`     // the account of that comparison before this one; empty for none
	After      string            `json:"after"`
}

func (v *comparedView) pageTitle() string {
	return fmt.Sprintf("Generations %d and %d, side by side", v.Live.Generation, v.Other.Generation)
}

// comparedSide is what is known of the account in one of the generations.
type comparedSide struct {
	Generation int64      `json:"generation"`
	Version    string     `json:"version"`
	Found      bool       `json:"found"`
	Position   uint64     `json:"position"`
	Parked     int        `json:"parked"`
	Waiting    int        `json:"waiting"`
	Erased     *time.Time `json:"erased_at"`
}

// mostSide is how many bytes of each part of an account are read: what is longer is told,
// and not shown.
const mostSide = 256 << 10

// comparedAccount is what two generations hold of one account, where they differ. It is a
// look at that account, which is recorded first.
func (c *Console) comparedAccount(r *http.Request) (any, error) {
	if _, err := c.on(); err != nil {
		return nil, err
	}
	number, err := strconv.ParseInt(mux.Vars(r)["generation"], 10, 64)
	if err != nil {
		return nil, notThere("There is no such generation", "`projector generations list` lists those that are there.")
	}
	account, err := events.ParseUUID(mux.Vars(r)["account"])
	if err != nil {
		return nil, badRequest("That is no account", "An account's id is a UUID, such as 0198c0de-0000-7000-8000-000000000001.")
	}
	if err := c.recorder(userOf(r)).Look(r.Context(), acts.AccountViewed, &account, "comparison"); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), lookTimeout)
	defer cancel()
	live, other, err := c.twoGenerations(ctx, number)
	if err != nil {
		return nil, err
	}
	sides, err := admin.ReadAccountSides(ctx, c.cfg.Pool, live.Number, other.Number, account, mostSide)
	if err != nil {
		return nil, err
	}
	if !sides[0].Found && !sides[1].Found {
		return nil, notThere("Neither generation has this account", "Nothing is stored of it, in generation %d and in generation %d.", live.Number, other.Number)
	}
	v := &comparedView{Account: account.String(), Masked: c.cfg.Privacy != Full, Sections: c.cfg.Privacy.compare(sides),
		Live: sideOf(live, sides[0]), Other: sideOf(other, sides[1])}
	v.neighbours(c, r.URL.Query().Get("comparison"))
	return v, nil
}

// twoGenerations are the live one and the other one that is meant.
func (c *Console) twoGenerations(ctx context.Context, number int64) (live, other readmodel.Generation, err error) {
	all, err := readmodel.Generations(ctx, c.cfg.Pool)
	if err != nil {
		return live, other, err
	}
	at := slices.IndexFunc(all, func(g readmodel.Generation) bool { return g.State == readmodel.StateLive })
	if at < 0 {
		return live, other, readmodel.ErrNoGeneration
	}
	live = all[at]
	if at = slices.IndexFunc(all, func(g readmodel.Generation) bool { return g.Number == number }); at < 0 {
		return live, other, notThere(fmt.Sprintf("There is no generation %d", number), "It was dropped, or never was. `projector generations list` lists those that are there.")
	}
	if other = all[at]; other.Number == live.Number {
		return live, other, badRequest(fmt.Sprintf("Generation %d is the live one", number), "An account is compared with another generation. The live document is on the account's page.")
	}
	return live, other, nil
}

func sideOf(g readmodel.Generation, s admin.AccountSide) comparedSide {
	v := comparedSide{Generation: g.Number, Version: g.Version(), Found: s.Found, Position: s.Position, Parked: s.Parked, Waiting: s.Waiting}
	if s.Found {
		v.Version = fmt.Sprintf("%d.%d", g.Major, s.Minor)
	}
	if s.Erased != nil {
		at := s.Erased.UTC()
		v.Erased = &at
	}
	return v
}

// neighbours are the accounts before and after this one in a comparison.
func (v *comparedView) neighbours(c *Console, id string) {
	found, err := c.comparisonOf(cli.Printable(id), v.Other.Generation)
	if err != nil {
		return
	}
	v.Comparison = found.Job
	at := slices.IndexFunc(found.Samples, func(s sampledAccount) bool { return s.Account == v.Account })
	if at > 0 {
		v.Before = found.Samples[at-1].Account
	}
	if at >= 0 && at+1 < len(found.Samples) {
		v.After = found.Samples[at+1].Account
	}
}
