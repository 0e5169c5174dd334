package console

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/mux"

	"accountexport/events"
	"accountexport/internal/acts"
	"accountexport/projections"
	"accountexport/readmodel"
	"accountexport/readmodel/admin"
)

// parkedMessageView is the screen of one parked message.
type parkedMessageView struct {
	Position  uint64    `json:"position"`
	Partition int       `json:"partition"`
	SentAt    time.Time `json:"sent_at"`
	Subject   string    `json:"subject"`
	Account   string    `json:"account"`
	Tier      string    `json:"tier"`
	Type      string    `json:"type"`
	Reason    string    `json:"reason"`

	// The reason, taken apart; all empty where it cannot be.
	Field string `json:"field"`
	Found string `json:"found"` // masked: of what kind it is
	Want  string `json:"want"`

	Masked       bool   `json:"masked"`
	HeaderBytes  int    `json:"header_bytes"`
	PayloadBytes int    `json:"payload_bytes"`
	Headers      string `json:"headers"` // empty where they are masked
	Payload      string `json:"payload"`

	DismissedAt *time.Time        `json:"dismissed_at"`
	Note        string            `json:"note"`
	Undismissed []undismissedView `json:"undismissed"`

	Accepted bool   `json:"accepted"`  // this program finds nothing wrong with it by itself
	StillFor string `json:"still_for"` // why this program would park it; empty where it would not

	Choices []parkedChoice `json:"acts"`
	MayAct  bool           `json:"may_act"`
}

type undismissedView struct {
	DismissedAt time.Time `json:"dismissed_at"`
	Dismissal   string    `json:"dismissal"`
	At          time.Time `json:"at"`
	Note        string    `json:"note"`
}

func (v *parkedMessageView) Part() string      { return "message" }
func (v *parkedMessageView) pageTitle() string { return fmt.Sprintf("Parked message %d", v.Position) }

// parkedMessage shows one parked message. Whose it is is known once it was read, and
// nothing of it is shown before the look is recorded.
func (c *Console) parkedMessage(r *http.Request) (any, error) {
	position, err := parsePosition(mux.Vars(r)["position"])
	if err != nil {
		return nil, badRequest("That is no position", "It has to be a position of the stream, such as 1234.")
	}
	p, err := admin.FindParked(r.Context(), c.cfg.Pool, position)
	if err != nil {
		return nil, notParked(position, err)
	}
	if err := c.recorder(userOf(r)).Look(r.Context(), acts.ParkedViewed, p.Account, fmt.Sprintf("position %d", position)); err != nil {
		return nil, err
	}
	return c.parkedMessageView(&p)
}

// notParked is the failure of a position at which no message is parked.
func notParked(position uint64, err error) error {
	if !errors.Is(err, readmodel.ErrNotFound) {
		return err
	}
	return notThere(fmt.Sprintf("No message is parked at position %d", position),
		"A newer program may have accepted it since, its account may have been erased, or it was never parked. "+
			"The page Parked shows those that are, as `projector parked list` does.")
}

func (c *Console) parkedMessageView(p *admin.Parked) (*parkedMessageView, error) {
	privacy := c.cfg.Privacy
	v := &parkedMessageView{Position: p.Position, Partition: p.Partition, SentAt: p.SentAt, Subject: privacy.parkedSubject(p.Subject),
		Type: privacy.parkedType(p.Type), Reason: privacy.parkedReason(p.Reason), Masked: privacy != Full, HeaderBytes: len(p.Headers),
		PayloadBytes: len(p.Payload), DismissedAt: p.DismissedAt, Note: cut(p.Note), Undismissed: []undismissedView{}, MayAct: c.cfg.AllowActs}
	if p.Account != nil {
		v.Account = p.Account.String()
	} else if to := events.ParseSubject(p.Subject); to.Kind == events.SubjectTier {
		v.Tier = to.Tier
	}
	if r, ok := events.SplitReason(v.Reason); ok {
		v.Field, v.Found, v.Want = r.Field, r.Found, r.Want
	}
	if privacy == Full {
		v.Headers, v.Payload = cut(p.Headers), cut(strings.ToValidUTF8(string(p.Payload), "\uFFFD"))
	}
	for _, u := range p.Undismissed {
		v.Undismissed = append(v.Undismissed, undismissedView{u.DismissedAt, cut(u.Dismissal), u.At, cut(u.Note)})
	}
	d, err := projections.Decode(storedMessage(p))
	if err != nil {
		return nil, err
	}
	if v.Accepted = d.Invalid == nil; !v.Accepted {
		v.StillFor = privacy.parkedReason(d.Invalid.Error())
	}
	at := fmt.Sprint(p.Position)
	v.Choices = []parkedChoice{}
	if v.Account != "" || v.Tier != "" {
		v.Choices = append(v.Choices, parkedChoice{Act: "parked-retry", Label: "Retry", Command: "projector parked retry " + at})
	}
	if p.DismissedAt == nil {
		v.Choices = append(v.Choices, parkedChoice{Act: "parked-dismiss", Label: "Dismiss", Command: "projector parked dismiss " + at + noteFlag})
	} else {
		v.Choices = append(v.Choices, parkedChoice{Act: "parked-undismiss", Label: "Have it count again", Command: "projector parked undismiss " + at + noteFlag})
	}
	return v, nil
}

// storedMessage is a parked message as it was sent.
func storedMessage(p *admin.Parked) projections.Message {
	m := projections.Message{Position: p.Position, Time: p.SentAt, Partition: p.Partition, Message: events.Message{Subject: p.Subject, Data: p.Payload}}
	for line := range strings.SplitSeq(p.Headers, "\r\n") {
		if name, value, ok := strings.Cut(line, ": "); ok {
			if m.Header == nil {
				m.Header = map[string][]string{}
			}
			m.Header[name] = append(m.Header[name], value)
		}
	}
	return m
}
