package console

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/gorilla/mux"

	"accountexport/internal/acts"
	"accountexport/readmodel/admin"
)

// routeParked adds the screens of parked messages.
func (c *Console) routeParked(m *mux.Router) {
	c.parked = &parkedCache{}
	c.hub.topics["parked"] = c.liveParked
	c.hub.topics["parked-totals"] = c.liveParkedTotals
	c.screen(m, "/parked", "parked", c.parkedScreen)
	c.screen(m, "/parked/confirm/{act}", "parked", c.parkedConfirm)
	c.screen(m, "/parked/{position}", "parked", c.parkedMessage)
}

// How much one page of parked messages shows; what is left out is counted.
const (
	parkedRows   = 50
	parkedGroups = 100
)

// parkedView is the screen of parked messages: all of them in groups, or those that a
// filter selects, in groups and one by one.
type parkedView struct {
	At     time.Time    `json:"at"`
	Filter parkedFields `json:"filter"`
	All    bool         `json:"all"` // nothing was filtered out

	Figures *parkedFigures    `json:"figures"` // null on the second and later pages of a list
	Groups  []parkedGroupView `json:"groups"`
	Further struct {          // what is not among the groups
		Groups   int   `json:"groups"`   // that are told apart
		Messages int64 `json:"messages"` // of all others
	} `json:"further"`

	List    []parkedRow    `json:"list"`   // null where no list was asked for
	Looked  uint64         `json:"looked"` // up to which position messages were looked at for the list
	Next    string         `json:"next"`   // where the list goes on; empty at its end
	Choices []parkedChoice `json:"acts"`   // what can be done with all that is selected
	MayAct  bool           `json:"may_act"`
	Totals  *parkedTotals  `json:"totals"` // of all that is parked; null before the first look
}

// parkedFigures are messages in numbers.
type parkedFigures struct {
	Messages  int64      `json:"messages"`
	Counting  int64      `json:"counting"`
	Dismissed int64      `json:"dismissed"`
	Accounts  int64      `json:"accounts"`
	From      uint64     `json:"from"`
	To        uint64     `json:"to"`
	Since     time.Time  `json:"since"`
	Until     time.Time  `json:"until"`
	Plot      parkedPlot `json:"plot"`
}

// parkedGroupView is messages of one type and one masked reason.
type parkedGroupView struct {
	parkedFigures
	Type   string `json:"type"`
	Reason string `json:"reason"`
	Link   string `json:"link"` // to the list of what its filter selects
}

type parkedTotals struct {
	At        time.Time `json:"at"`
	Counting  int64     `json:"counting"`
	Dismissed int64     `json:"dismissed"`
}

// parkedRow is a message of the list.
type parkedRow struct {
	Position  uint64    `json:"position"`
	SentAt    time.Time `json:"sent_at"`
	Account   string    `json:"account"`
	Type      string    `json:"type"`
	Reason    string    `json:"reason"`
	Dismissed bool      `json:"dismissed"`
	Note      string    `json:"note"`
}

// parkedChoice is something that can be done with messages.
type parkedChoice struct {
	Act     string `json:"act"`
	Label   string `json:"label"`
	Page    string `json:"page"`    // where it is confirmed
	Command string `json:"command"` // that does the same; empty where none can be typed
}

func (v *parkedView) Part() string { return "groups" }

// Listed tells whether there is a list, and Live whether the figures follow what happens.
func (v *parkedView) Listed() bool { return v.List != nil }
func (v *parkedView) Live() bool   { return v.All && v.List == nil }

func (v *parkedView) liveTopic() string {
	if v.Live() {
		return "parked"
	}
	return "parked-totals"
}

// parkedScreen shows the groups and, where a filter or view=list asks for it, the list.
func (c *Console) parkedScreen(r *http.Request) (any, error) {
	q := r.URL.Query()
	f, err := readParkedFilter(q)
	if err != nil {
		return nil, err
	}
	after, list := uint64(0), f.selects() || q.Get("view") == "list"
	if v := q.Get("after"); v != "" {
		if after, err = parsePosition(v); err != nil {
			return nil, badRequest("after is not right", "It has to be a position of the stream, such as 1234.")
		}
	}
	if !list {
		if err := c.recordParked(r.Context(), userOf(r), false); err != nil {
			return nil, err
		}
		s, at, err := c.parked.current(r.Context(), c.surveyParked)
		if err != nil {
			return nil, err
		}
		return c.parkedView(f, s, at), nil
	}
	if err := c.recorder(userOf(r)).Look(r.Context(), acts.ParkedViewed, f.Account, "list"); err != nil {
		return nil, err
	}
	if after > 0 {
		return c.parkedPage(r, f, after)
	}
	s, err := admin.SurveyParked(r.Context(), c.cfg.Pool, f.ParkedFilter, parkedRows+1, c.cfg.Privacy.parkedType)
	if err != nil {
		return nil, err
	}
	v := c.parkedView(f, &s, time.Now())
	v.Totals = c.parkedTotals()
	c.listParked(v, &f, s.First[:min(parkedRows, len(s.First))], len(s.First) > parkedRows)
	v.Looked = s.Top
	return v, nil
}

// parkedPage is a later page of the list. It has no figures, which would have to be
// counted again.
func (c *Console) parkedPage(r *http.Request, f parkedFilter, after uint64) (any, error) {
	found, looked, more, err := admin.ParkedAfter(r.Context(), c.cfg.Pool, f.ParkedFilter, after, parkedRows)
	if err != nil {
		return nil, err
	}
	v := &parkedView{At: time.Now(), Filter: f.fields(), All: !f.selects(), Groups: []parkedGroupView{}, Choices: []parkedChoice{}, MayAct: c.cfg.AllowActs, Totals: c.parkedTotals()}
	c.listParked(v, &f, found, false)
	if v.Looked = looked; more {
		v.Next = parkedLink(&f, looked)
	}
	return v, nil
}

func (c *Console) listParked(v *parkedView, f *parkedFilter, found []admin.Parked, more bool) {
	v.List = []parkedRow{}
	for _, p := range found {
		row := parkedRow{Position: p.Position, SentAt: p.SentAt, Type: c.cfg.Privacy.parkedType(p.Type), Reason: c.cfg.Privacy.parkedReason(p.Reason),
			Dismissed: p.DismissedAt != nil, Note: cut(p.Note)}
		if p.Account != nil {
			row.Account = p.Account.String()
		}
		v.List = append(v.List, row)
	}
	if more {
		v.Next = parkedLink(f, found[len(found)-1].Position)
	}
}

// parkedLink is the list of what a filter selects, after a position.
func parkedLink(f *parkedFilter, after uint64) string {
	q := f.values()
	if !f.selects() {
		q.Set("view", "list")
	}
	if after > 0 {
		q.Set("after", strconv.FormatUint(after, 10))
	}
	return (&url.URL{Path: "/parked", RawQuery: q.Encode()}).String()
}

// parkedView is a survey as it is shown.
func (c *Console) parkedView(f parkedFilter, s *admin.ParkedSurvey, at time.Time) *parkedView {
	v := &parkedView{At: at, Filter: f.fields(), All: !f.selects(), Groups: []parkedGroupView{}, Choices: []parkedChoice{}, MayAct: c.cfg.AllowActs}
	figures := figuresOf(&s.ParkedFigures, s)
	v.Figures = &figures
	for i, g := range s.Groups {
		if i >= parkedGroups {
			v.Further.Groups++
			v.Further.Messages += g.Messages
			continue
		}
		of := f
		if g.Type != "" && g.Type != maskedType && len(g.Type) <= mostFilter {
			of.Type = g.Type
		}
		of.Reason = g.Reason
		v.Groups = append(v.Groups, parkedGroupView{figuresOf(&g.ParkedFigures, s), g.Type, g.Reason, parkedLink(&of, 0)})
	}
	v.Further.Messages += s.Further.Messages
	if s.Messages > 0 {
		v.Choices = parkedChoices(f, s)
	}
	return v
}
