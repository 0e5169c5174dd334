package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gorilla/mux"

	"accountexport/events"
	"accountexport/internal/acts"
	"accountexport/internal/findings"
	"accountexport/readmodel"
	"accountexport/readmodel/admin"
)

// How many entries of the ledger a page shows, and how many erasures that are not finished.
const (
	ledgerPage     = 100
	mostUnfinished = 100
)

// routeErasures adds the screens of erasures.
func (c *Console) routeErasures(m *mux.Router) {
	c.screen(m, "/erasures", "erasures", c.erasures)
	c.routeReceipts(m)
	c.screen(m, "/accounts/{account}/erase", "erase", c.eraseScreen)
	m.HandleFunc("/jobs/{job}/receipt.json", c.receiptFile).Methods(http.MethodGet, http.MethodHead)
}

// erasuresView is a page of the ledger of erasures, and what is not finished.
type erasuresView struct {
	Count      int64        `json:"erasures"`
	Exported   *time.Time   `json:"exported_at"` // null: never
	Due        string       `json:"export_due"`  // what to do about that; empty where nothing is due
	Unfinished []unfinished `json:"unfinished"`
	More       int          `json:"unfinished_more"` // how many beside those are not finished
	Entries    []ledgerLine `json:"entries"`
	Account    string       `json:"account"` // that was searched for; empty: none
	NotThere   bool         `json:"not_on_the_ledger"`
	After      string       `json:"after"` // the page is of those after this account; empty: the first
	Next       string       `json:"next"`  // after which account the next page is; empty: this is the last
	MayAct     bool         `json:"-"`
}

// ledgerLine is an entry of the ledger.
type ledgerLine struct {
	Account  string    `json:"account"`
	ErasedAt time.Time `json:"erased_at"`
	Position uint64    `json:"position"`
	Stream   string    `json:"stream"`
	Created  time.Time `json:"stream_created"`
	Receipt  string    `json:"receipt"` // the digest of the last receipt; empty: there was none
}

// unfinished is an erasure that was begun, or came with a ledger, and is not proven.
type unfinished struct {
	Account string    `json:"account"`
	Began   time.Time `json:"began_at"`
	Text    string    `json:"text"`    // what it waits for
	Command string    `json:"command"` // that goes on with it
	Here    bool      `json:"here"`    // the console can go on with it
}

// erasures is the screen of the ledger. Each page of it is a look, also those that follow.
func (c *Console) erasures(r *http.Request) (any, error) {
	q := r.URL.Query()
	account, err := maybeAccount(q, "account")
	if err != nil {
		return nil, err
	}
	after, err := maybeAccount(q, "after")
	if err != nil {
		return nil, err
	}
	if err := c.recorder(userOf(r)).Look(r.Context(), acts.ErasuresViewed, account, ""); err != nil {
		return nil, err
	}
	v := &erasuresView{Unfinished: []unfinished{}, Entries: []ledgerLine{}, MayAct: c.cfg.AllowActs}
	ledger, err := admin.ReadLedgerStatus(r.Context(), c.cfg.Pool)
	if err != nil {
		return nil, err
	}
	v.Count, v.Exported = ledger.Erasures, ledger.Exported
	if findings.LedgerDue(ledger) {
		v.Due = "It is to be exported once a day, to where the database's loss does not reach: `projector erasures export`."
	}
	if v.Unfinished, v.More, err = c.unfinishedErasures(r.Context(), account); err != nil {
		return nil, err
	}
	if account != nil {
		v.Account = account.String()
		e, err := admin.FindErasure(r.Context(), c.cfg.Pool, *account)
		if errors.Is(err, readmodel.ErrNotFound) {
			v.NotThere = true
			return v, nil
		}
		if err != nil {
			return nil, err
		}
		v.Entries = append(v.Entries, lineOf(e))
		return v, nil
	}
	page, err := admin.Erasures(r.Context(), c.cfg.Pool, after, ledgerPage+1)
	if err != nil {
		return nil, err
	}
	if after != nil {
		v.After = after.String()
	}
	for i, e := range page {
		if i == ledgerPage {
			v.Next = page[i-1].Account.String()
			break
		}
		v.Entries = append(v.Entries, lineOf(e))
	}
	return v, nil
}

func lineOf(e admin.Erasure) ledgerLine {
	return ledgerLine{e.Account.String(), e.ErasedAt, e.Position, e.Stream, e.StreamCreated, e.Receipt}
}

// unfinishedErasures are those that are not proven: the first of them, and how many more
// there are, or that of one account. By which addresses they find what is left is not
// shown.
func (c *Console) unfinishedErasures(ctx context.Context, of *events.UUID) (out []unfinished, more int, err error) {
	out = []unfinished{}
	all, err := admin.PendingErasures(ctx, c.cfg.Pool, false)
	if err != nil {
		return nil, 0, err
	}
	for _, p := range all {
		if of != nil && p.Account != *of {
			continue
		}
		if len(out) == mostUnfinished {
			more++
			continue
		}
		u := unfinished{Account: p.Account.String(), Began: p.Began, Here: !p.Redo, Command: fmt.Sprintf("projector erase --account %s", p.Account),
			Text: "It was begun, and is not proven to be complete: it runs now, or was cut off."}
		switch {
		case p.Redo:
			u.Command = "projector accept"
			u.Text = "It is on the ledger, and the stream lacks it or holds what it had removed: `projector accept` carries it out again, and so does `projector rebuild`. " +
				"Nothing is folded before."
		case p.Done:
			u.Text = "It is complete here. Copies of the stream keep what they have of the account, until an erasure names them, or they are gone."
			u.Command += " --purge-copies " + c.copyNames(ctx)
		}
		out = append(out, u)
	}
	return out, more, nil
}

// copyNames are those of the copies that are there, as a command takes them.
func (c *Console) copyNames(ctx context.Context) string {
	var names []string
	if f, err := c.facts.current(ctx); err == nil {
		for _, s := range f.Copies {
			names = append(names, s.Name)
		}
	}
	if len(names) == 0 {
		return "NAMES" // they cannot be seen now, or are gone
	}
	return strings.Join(names, ",")
}

// maybeAccount is an account's id in a query; nil where there is none.
func maybeAccount(q url.Values, name string) (*events.UUID, error) {
	text := q.Get(name)
	if text == "" {
		return nil, nil
	}
	id, err := parseAccount(text)
	if err != nil {
		return nil, err
	}
	return &id, nil
}
