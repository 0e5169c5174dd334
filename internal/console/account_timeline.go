package console

import (
	"cmp"
	"net/http"
	"slices"

	"github.com/gorilla/mux"

	"accountexport/internal/acts"
)

// How many messages a timeline shows at once: in a page as it is opened, and at most.
const (
	entriesPerPage = 100
	mostEntries    = 200
	mostTypes      = 60 // that a filter offers
)

// timelineView is a part of the messages of an account.
type timelineView struct {
	Account  string      `json:"account"`
	All      int         `json:"all"`   // messages of the account
	Of       int         `json:"of"`    // of them, those that the filter selects
	From     int         `json:"from"`  // index of the first that is shown among these
	First    uint64      `json:"first"` // position of the account's first message
	Last     uint64      `json:"last"`
	Type     string      `json:"type"`    // that is selected; empty: all, typeNone: those of which none could be read
	Outcome  string      `json:"outcome"` // that is selected; empty: all
	Entries  []entryView `json:"entries"`
	Types    []countView `json:"types"` // of the account, those that are most first
	Outcomes []countView `json:"outcomes"`
	Cut      bool        `json:"cut"` // there are later messages, beyond what the console keeps of one account
	Erased   bool        `json:"erased"`

	previous uint64 // position of the message before the account\'s last; 0: there is none
}

// Until is the index after the last message that is shown.
func (v *timelineView) Until() int { return v.From + len(v.Entries) }

// Rows is how many rows the whole table has, with its heading.
func (v *timelineView) Rows() int { return v.Of + 1 }

// Earlier is where the page before this one begins.
func (v *timelineView) Earlier() int { return max(0, v.From-entriesPerPage) }

// LastPage is where the last page begins.
func (v *timelineView) LastPage() int { return max(0, v.Of-entriesPerPage) }

type countView struct {
	Name string `json:"name"`
	N    int    `json:"n"`
}

// typeNone asks for the messages of which no type could be read.
const typeNone = "(none)"

// typeAsked is a type as a request names it.
func typeAsked(name string) string { return cmp.Or(name, typeNone) }

// Asked is its name as a request has it.
func (v countView) Asked() string { return typeAsked(v.Name) }

// timeline gives the part of the messages that is asked for.
func (h *history) timeline(q timelineQuery) (*timelineView, error) {
	v := &timelineView{Account: h.account.String(), All: len(h.entries), Type: q.typ, Outcome: q.outcome, Entries: []entryView{}, Cut: h.full, Erased: h.erasedAt > 0}
	if n := len(h.entries); n > 0 {
		v.First, v.Last = h.entries[0].position, h.entries[n-1].position
		if n > 1 {
			v.previous = h.entries[n-2].position
		}
	}
	byType, byOutcome := make([]int, len(h.types)), map[string]int{}
	selected := func(r *entryRef) bool {
		return (q.outcome == "" || r.outcome == q.outcome) && (q.typ == "" || typeAsked(h.types[r.kind]) == q.typ)
	}
	before := 0 // selected ones at or before the position that is asked for
	for i := range h.entries {
		r := &h.entries[i]
		byType[r.kind]++
		byOutcome[r.outcome]++
		if selected(r) {
			v.Of++
			if r.position <= q.after || r.position < q.around {
				before++
			}
		}
	}
	switch {
	case q.around > 0:
		v.From = max(0, before-q.limit/4)
	case q.after > 0:
		v.From = before
	default:
		v.From = q.from
	}
	v.From = max(0, min(v.From, v.Of))
	n := -1
	for i := range h.entries {
		if !selected(&h.entries[i]) {
			continue
		}
		if n++; n < v.From {
			continue
		}
		if len(v.Entries) == q.limit {
			break
		}
		e, err := h.at(i)
		if err != nil {
			return nil, err
		}
		e.Index, e.Account = n, v.Account
		v.Entries = append(v.Entries, e)
	}
	v.count(h.types, byType, byOutcome)
	return v, nil
}

// count notes what the filters offer.
func (v *timelineView) count(types []string, byType []int, byOutcome map[string]int) {
	v.Types, v.Outcomes = []countView{}, []countView{}
	for i, n := range byType {
		v.Types = append(v.Types, countView{types[i], n})
	}
	for outcome, n := range byOutcome {
		v.Outcomes = append(v.Outcomes, countView{outcome, n})
	}
	most := func(a, b countView) int {
		if a.N != b.N {
			return b.N - a.N
		}
		if a.Name < b.Name {
			return -1
		}
		return 1
	}
	slices.SortFunc(v.Types, most)
	slices.SortFunc(v.Outcomes, most)
	v.Types = v.Types[:min(len(v.Types), mostTypes)]
}

// apiTimeline is a part of an account's timeline, for the script of its page and for
// whoever else wants it. With rows=html each entry has its row of the table, too.
func (c *Console) apiTimeline(w http.ResponseWriter, r *http.Request) {
	v, err := c.timeline(r)
	if err != nil {
		c.failJSON(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, v)
}

func (c *Console) timeline(r *http.Request) (*timelineView, error) {
	account, err := accountOf(mux.Vars(r)["account"])
	if err != nil {
		return nil, err
	}
	query := r.URL.Query()
	q, err := timelineQueryOf(query)
	if err != nil {
		return nil, err
	}
	on, err := c.on()
	if err != nil {
		return nil, err
	}
	if err := c.recordLook(r.Context(), userOf(r), account, acts.AccountHistory, "", true); err != nil {
		return nil, err
	}
	erased, err := c.accounts.erased(r.Context(), account)
	if err != nil {
		return nil, err
	}
	at, err := positionOf(query, "at")
	if err != nil {
		return nil, err
	}
	var v *timelineView
	if err := c.accounts.histories.with(r.Context(), on.Stream, account, func(h *history) error {
		v, err = h.timelineFor(q, erased)
		return err
	}); err != nil {
		return nil, err
	}
	if erased {
		c.accounts.histories.forget(account)
	}
	v.mark(at)
	if query.Get("rows") == "html" {
		for i := range v.Entries {
			row, err := c.render("account row", v.Entries[i])
			if err != nil {
				return nil, err
			}
			v.Entries[i].HTML = string(row)
		}
	}
	return v, nil
}

// timelineFor is the timeline of an account that the ledger of erasures may have. Where
// the ledger has it and the stream lacks the erasure, nothing is shown: the stream was
// restored from before it.
func (h *history) timelineFor(q timelineQuery, erased bool) (*timelineView, error) {
	if erased && h.erasedAt == 0 {
		return &timelineView{Account: h.account.String(), Entries: []entryView{}, Types: []countView{}, Outcomes: []countView{}, Erased: true}, nil
	}
	return h.timeline(q)
}

// mark notes which message the page is about.
func (v *timelineView) mark(at uint64) {
	for i := range v.Entries {
		v.Entries[i].Current = v.Entries[i].Position == at && at > 0
	}
}
