package console

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/gorilla/mux"

	"accountexport/events"
	"accountexport/internal/acts"
	"accountexport/internal/cli"
	"accountexport/readmodel"
	"accountexport/readmodel/export"
)

// mostParkedShown is how many parked messages an account's screen lists.
const mostParkedShown = 50

// The states of an account.
const (
	stateUnknown    = "never heard of"
	stateIncomplete = "incomplete"
	stateComplete   = "complete"
	stateErased     = "erased"
)

// accountView is one account.
type accountView struct {
	Account      string     `json:"account"`
	State        string     `json:"state"`
	Missing      []string   `json:"missing"`         // where it is incomplete
	ErasedAt     *time.Time `json:"erased_at"`       // the event's own time
	ErasedAtPos  uint64     `json:"erased_position"` // of the erasure
	Position     uint64     `json:"position"`
	TierPosition uint64     `json:"tier_position"`
	AsOf         *time.Time `json:"as_of"` // everything that the stream held then is in
	Parked       int        `json:"parked"`
	Dismissed    int        `json:"dismissed"`
	Version      string     `json:"version"` // of the projection
	Generation   int64      `json:"generation"`

	Document *documentView `json:"document"`      // null where none is shown
	NoDoc    string        `json:"document_note"` // why none is

	Moment *momentView `json:"moment"` // of the document; null where it is the one that is stored

	ParkedMessages []parkedLine  `json:"parked_messages"`
	Timeline       *timelineView `json:"timeline"`      // null where the stream could not be read
	NoTimeline     string        `json:"timeline_note"` // why not, or what is to be known of it
	Refused        string        `json:"refused"`       // why `projector run` would refuse the stream

	MayAct bool `json:"may_act"`

	query url.Values
}

type parkedLine struct {
	Position  uint64    `json:"position"`
	SentAt    time.Time `json:"sent_at"`
	Type      string    `json:"type"`
	Reason    string    `json:"reason"`
	Dismissed bool      `json:"dismissed"`
}

func (v *accountView) pageTitle() string { return "Account " + v.Account }

// account is the screen of one account.
func (c *Console) account(r *http.Request) (any, error) {
	ctx, query := r.Context(), r.URL.Query()
	account, err := accountOf(mux.Vars(r)["account"])
	if err != nil {
		return nil, err
	}
	wanted, err := timelineQueryOf(query)
	if err != nil {
		return nil, err
	}
	part, err := partOf(query)
	if err != nil {
		return nil, err
	}
	at, err := positionOf(query, "at")
	if err != nil {
		return nil, err
	}
	if wanted.around == 0 && wanted.after == 0 && query.Get("first") == "" {
		wanted.around = at
	}
	on, err := c.on()
	if err != nil {
		return nil, err
	}
	detail := ""
	if at > 0 {
		detail = fmt.Sprintf("as of position %d", at)
	}
	if err := c.recordLook(ctx, userOf(r), account, acts.AccountViewed, detail, false); err != nil {
		return nil, err
	}
	v := &accountView{Account: account.String(), MayAct: c.cfg.AllowActs, Missing: []string{}, ParkedMessages: []parkedLine{}, query: query}
	g, err := c.describe(ctx, v, account)
	if err != nil {
		return nil, err
	}
	if err := c.storedDocument(ctx, v, account, part, at > 0); err != nil {
		return nil, err
	}
	err = c.accounts.histories.with(ctx, on.Stream, account, func(h *history) error {
		return c.showHistory(ctx, on, v, h, g, wanted, at, part)
	})
	if v.State == stateErased {
		c.accounts.histories.forget(account)
	}
	if err != nil {
		if at > 0 && v.Document == nil && v.NoDoc == "" {
			v.NoDoc = "The document of the past cannot be folded, since the account's messages cannot be read."
		}
		v.Timeline, v.Moment, v.NoTimeline = nil, nil, "The account's messages cannot be read: "+cli.Printable(asFailure(err).Error())
		c.report(r, asFailure(err))
	}
	return v, nil
}

// showHistory adds what the stream has of the account: the timeline, which message has set
// each field, and where a moment is asked for, the document as it was.
func (c *Console) showHistory(ctx context.Context, on acts.Target, v *accountView, h *history, g readmodel.Generation, wanted timelineQuery, at uint64, part shownPart) (err error) {
	erased := v.State == stateErased
	if v.Timeline, err = h.timelineFor(wanted, erased); err != nil {
		return err
	}
	v.Timeline.mark(cmp.Or(wanted.around, at))
	v.readHistory(h, g)
	switch {
	case erased:
	case at > 0:
		v.Moment, v.Document, v.NoDoc, err = c.pastOf(ctx, on, h, at, part)
	case h.full: // a message that was left out may have set any field since
	case v.Document != nil && g.FoldedFrom(h.stream):
		err = h.setOrigins(v.Document, v.Position, false)
	}
	return err
}

// describe says what the read model and the ledger know of the account.
func (c *Console) describe(ctx context.Context, v *accountView, account events.UUID) (readmodel.Generation, error) {
	g, notes, err := c.accounts.notes(ctx, account, mostParkedShown)
	if err != nil {
		return g, err
	}
	v.Generation = g.Number
	if e := notes.Erasure; e != nil {
		v.State, v.ErasedAt, v.ErasedAtPos = stateErased, &e.ErasedAt, e.Position
		notes.Parked = nil // there are none, unless the stream was restored from before the erasure
	}
	for _, p := range notes.Parked {
		v.ParkedMessages = append(v.ParkedMessages, parkedLine{p.Position, p.SentAt, c.cfg.Privacy.typeOf(p.Type), c.cfg.Privacy.reason(p.Reason), p.DismissedAt != nil})
	}
	last := c.lastLook()
	if last != nil && last.Status != nil && last.Status.Refused != nil {
		v.Refused = cli.Printable(last.Status.Refused.Error())
	}
	return g, nil
}

// storedDocument reads the account's row, and where it is complete, its document, unless
// the row is all that is wanted.
func (c *Console) storedDocument(ctx context.Context, v *accountView, account events.UUID, part shownPart, rowOnly bool) error {
	erased, size := v.State == stateErased, int64(0)
	d, err := c.accounts.documents.OpenRange(ctx, account, func(_ *export.Meta, n int64) (from, to int64) {
		if size = n; erased || rowOnly || n > c.accounts.largest {
			return 0, 0
		}
		return 0, n
	})
	if err != nil {
		return err
	}
	defer d.Close()
	v.Position, v.TierPosition, v.Parked, v.Dismissed = d.Position, d.TierPosition, d.Parked, d.Dismissed
	v.Version = strconv.Itoa(d.Major) + "." + strconv.Itoa(d.Minor)
	if !d.AsOf.IsZero() {
		v.AsOf = &d.AsOf
	}
	switch {
	case erased || d.State == export.Erased:
		v.State, v.NoDoc, v.ParkedMessages = stateErased, "The account was erased: there is no document.", []parkedLine{}
		return nil
	case d.State == export.Unknown:
		v.State, v.NoDoc = stateUnknown, "There is no document of an account that was never heard of."
		return nil
	case d.State == export.Incomplete:
		v.State, v.Missing, v.NoDoc = stateIncomplete, d.Missing, "No document is served before the account is complete."
		return nil
	}
	v.State = stateComplete
	if rowOnly {
		return nil
	}
	if size > c.accounts.largest {
		v.NoDoc = "The document has " + grouped(strconv.FormatInt(size, 10)) + " bytes, and one of more than " + grouped(strconv.FormatInt(c.accounts.largest, 10)) +
			" is not shown here: `projector export --account " + v.Account + "` prints it."
		return nil
	}
	v.Document, err = c.cfg.Privacy.pipeDocument(d, part)
	return err
}

// pipeDocument reads a document as it comes: however large it is, little of it is in memory
// at once beside what the reader of documents holds.
func (p Privacy) pipeDocument(from io.WriterTo, part shownPart) (*documentView, error) {
	in, out := io.Pipe()
	written := make(chan struct{})
	go func() {
		defer close(written)
		_, err := from.WriteTo(out)
		_ = out.CloseWithError(err) // never fails
	}()
	v, err := p.readDocument(in, part)
	_ = in.Close() // never fails
	<-written
	return v, err
}

// readHistory says what is to be known of the account's messages.
func (v *accountView) readHistory(h *history, g readmodel.Generation) {
	switch {
	case v.State == stateErased && h.erasedAt == 0 && len(h.entries) > 0:
		v.NoTimeline = "The account is on the ledger of erasures, and the stream holds messages of it without its erasure: it was restored from " +
			"before. They are not shown. `projector accept` erases it in the stream anew."
	case !g.FoldedFrom(h.stream):
		v.NoTimeline = "The stream is not the one that the read model was folded from: these messages are not those that made the document."
	case v.State == stateUnknown && len(h.entries) > 0:
		v.NoTimeline = "The stream holds messages of it that the read model has not folded yet."
	case h.full:
		v.NoTimeline = "The account has more messages than the console keeps of one: the last " + strconv.Itoa(h.left) + " are left out. `projector history --account " + v.Account + "` lists all."
	}
}
