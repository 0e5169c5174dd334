package console

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/mux"

	"accountexport/events"
	"accountexport/internal/acts"
	"accountexport/projections"
)

// mostFolds is how many documents of the past are folded at once, of all accounts.
const mostFolds = 4

// momentView is a point in an account's past: after one of its messages.
type momentView struct {
	At       uint64    `json:"at"`       // the position that was asked for
	Position uint64    `json:"position"` // of the account's last message by then; 0: there was none
	Index    int       `json:"index"`    // of that message among the account's, from 0; -1: there was none
	Of       int       `json:"of"`       // how many messages the account has
	Previous uint64    `json:"previous"` // positions of the messages before and after; 0: there is none
	Next     uint64    `json:"next"`
	Time     time.Time `json:"time"` // of that message, by the stream
	Type     string    `json:"type"`
	Outcome  string    `json:"outcome"`
	State    string    `json:"state"` // of the account then
	Missing  []string  `json:"missing"`
	Cut      bool      `json:"cut"` // it is after messages that were left out: which was the last by then is not known
}

// Last is the index of the last message.
func (m *momentView) Last() int { return m.Of - 1 }

// Words says which message it is, for a slider.
func (m *momentView) Words() string {
	if m.Cut {
		return fmt.Sprintf("position %d, after messages that are left out here", m.At)
	}
	if m.Index < 0 {
		return "before the account's first message"
	}
	return fmt.Sprintf("message %d of %d, position %d, %s", m.Index+1, m.Of, m.Position, events.ShortType(m.Type))
}

// moment is the point in the past that a position stands for.
func (h *history) moment(at uint64) (*momentView, error) {
	n := h.upTo(at)
	m := &momentView{At: at, Index: n - 1, Of: len(h.entries), Missing: []string{}}
	if h.left > 0 && n > 0 && n == len(h.entries) && at > h.entries[n-1].position {
		m.Cut, m.Previous = true, h.entries[n-1].position
		return m, nil
	}
	if n < len(h.entries) {
		m.Next = h.entries[n].position
	}
	if n > 1 {
		m.Previous = h.entries[n-2].position
	}
	if n > 0 {
		e, err := h.at(n - 1)
		if err != nil {
			return nil, err
		}
		m.Position, m.Time, m.Type, m.Outcome = e.Position, e.Time, e.Type, e.Outcome
	}
	return m, nil
}

// focus is the item that a message has changed; the zero value where it is none of a
// section.
func (h *history) focus(m *momentView) (key fieldKey, err error) {
	if m.Index < 0 || m.Cut {
		return key, nil
	}
	ref := h.entries[m.Index]
	b, err := h.kept.read(ref.at, int(ref.size))
	if err != nil {
		return key, err
	}
	err = changedFields(b, func(entity, id, _ []byte) bool {
		if len(id) > 0 {
			key = fieldKey{entity: string(entity), id: string(id)}
		}
		return len(id) == 0
	})
	return key, err
}

// pastDocument folds the document as it was from the stream alone, by
// [acts.DocumentAsOf], with the tier as it was then. note says why there is none.
func (c *Console) pastDocument(ctx context.Context, on acts.Target, h *history, m *momentView, part shownPart) (v *documentView, note string, err error) {
	command := fmt.Sprintf("`projector export --account %s --at %d`", h.account, m.At)
	if h.full || h.state > h.bounds.memory/2 {
		return nil, "The account is too large to be folded for a page; " + command + " prints the document.", nil
	}
	select {
	case c.accounts.folds <- struct{}{}:
	case <-ctx.Done():
		return nil, "", ctx.Err()
	}
	defer func() { <-c.accounts.folds }()
	d, found, err := acts.DocumentAsOf(ctx, on.Stream, h.account, acts.AsOf{Position: m.At})
	switch {
	case err != nil:
		return nil, "", err
	case !found:
		m.State = stateUnknown
		return nil, "The account had no message by then: it was not heard of yet.", nil
	case d.State == projections.Erased:
		m.State = stateErased
		return nil, "The account was erased by then.", nil
	case d.State == projections.Incomplete:
		m.State, m.Missing = stateIncomplete, d.Missing
		return nil, "The account was not complete then: it lacked " + strings.Join(d.Missing, ", ") + ".", nil
	}
	m.State = stateComplete
	v, err = c.cfg.Privacy.readDocument(bytes.NewReader(d.Body), part)
	if err == nil {
		err = h.setOrigins(v, m.Position, true)
	}
	return v, "", err
}

// pastView is the document as it was, for the script of the account's page.
type pastView struct {
	Moment   *momentView   `json:"moment"`
	Document *documentView `json:"document"`
	Note     string        `json:"document_note"`
	HTML     string        `json:"html,omitempty"`
}

// apiDocument is an account's document as it was at a position, or after its message of
// an index. With parts=html it has the part of the page, too.
func (c *Console) apiDocument(w http.ResponseWriter, r *http.Request) {
	v, err := c.past(r)
	if err != nil {
		c.failJSON(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, v)
}

func (c *Console) past(r *http.Request) (*pastView, error) {
	ctx, query := r.Context(), r.URL.Query()
	account, err := accountOf(mux.Vars(r)["account"])
	if err != nil {
		return nil, err
	}
	at, err := positionOf(query, "at")
	if err != nil {
		return nil, err
	}
	index, err := numberOf(query, "index", -1)
	if err != nil {
		return nil, err
	}
	if at == 0 && index < 0 {
		return nil, badRequest("Which moment is meant is missing", "It has to be at, a position of the stream, or index, that of one of the account's messages, from 0.")
	}
	part, err := partOf(query)
	if err != nil {
		return nil, err
	}
	on, err := c.on()
	if err != nil {
		return nil, err
	}
	if err := c.recordLook(ctx, userOf(r), account, acts.AccountViewed, "", true); err != nil {
		return nil, err
	}
	erased, err := c.accounts.erased(ctx, account)
	if err != nil {
		return nil, err
	}
	if erased {
		c.accounts.histories.forget(account)
		return &pastView{Moment: &momentView{At: at, Index: -1, State: stateErased, Missing: []string{}}, Note: "The account was erased: there is no document."}, nil
	}
	v := &pastView{}
	screen := &accountView{Account: account.String(), query: url.Values{}}
	err = c.accounts.histories.with(ctx, on.Stream, account, func(h *history) (err error) {
		if at == 0 {
			if len(h.entries) == 0 {
				return notThere("There is no such message", "The stream holds no message of the account.")
			}
			at = h.entries[min(index, len(h.entries)-1)].position
		}
		v.Moment, v.Document, v.Note, err = c.pastOf(ctx, on, h, at, part)
		return err
	})
	if err != nil {
		return nil, err
	}
	screen.Moment, screen.Document, screen.NoDoc = v.Moment, v.Document, v.Note
	screen.query.Set("at", strconv.FormatUint(at, 10))
	if query.Get("parts") == "html" {
		html, err := c.render("account document body", screen)
		if err != nil {
			return nil, err
		}
		v.HTML = string(html)
	}
	return v, nil
}

// pastOf is a moment, and the document as it was then.
func (c *Console) pastOf(ctx context.Context, on acts.Target, h *history, at uint64, part shownPart) (m *momentView, v *documentView, note string, err error) {
	if m, err = h.moment(at); err != nil {
		return nil, nil, "", err
	}
	if h.erasedAt > 0 {
		m.State = stateErased
		return m, nil, "The account was erased: there is no document.", nil
	}
	if part.focus == (fieldKey{}) {
		if part.focus, err = h.focus(m); err != nil {
			return nil, nil, "", err
		}
	}
	v, note, err = c.pastDocument(ctx, on, h, m, part)
	return m, v, note, err
}
