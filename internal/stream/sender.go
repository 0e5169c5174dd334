package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"accountexport/events"
	"accountexport/projections"
)

// Sender publishes without waiting for acknowledgements, which come on a channel
// in whatever order the server sends them. It tries nothing again: what has no
// answer, or was on its way when the connection was lost, is in the stream or is
// not, and who sent it has to look.
type Sender struct {
	client  *Client
	inbox   string
	sub     *nats.Subscription
	answers chan Answer
	status  chan nats.Status
	lost    chan struct{}
	done    chan struct{}
}

// Answer is what the server says to one message.
type Answer struct {
	Token     uint64 // as given to Send
	Position  uint64 // where the stream holds it
	Duplicate bool   // the server has dropped it: Position is that of a message with this id
	Err       error  // why the stream does not hold it; nil where it does

	// The condition of Send does not hold: the subject's last message is at Last,
	// where the server says so (LastKnown), and not where it was expected.
	Conflict  bool
	Last      uint64
	LastKnown bool
}

// ErrAnotherStream means that what was published was stored, but elsewhere.
var ErrAnotherStream = errors.New("another stream takes the subject")

// What a server says where a condition on a subject's last message does not hold;
// the second one where it does not say where that is.
const (
	errWrongLast         jetstream.ErrorCode = 10071
	errWrongLastConstant jetstream.ErrorCode = 10164
)

// NewSender makes a sender, which [Sender.Close] ends. At most so many messages
// are to be without an answer at once.
func (c *Client) NewSender(most int) (*Sender, error) {
	s := &Sender{client: c, inbox: c.nc.NewInbox() + ".", answers: make(chan Answer, most), lost: make(chan struct{}, 1), done: make(chan struct{})}
	var err error
	if s.sub, err = c.nc.Subscribe(s.inbox+"*", s.receive); err != nil {
		return nil, fmt.Errorf("publish: %w", err)
	}
	s.status = c.nc.StatusChanged(nats.RECONNECTING, nats.DISCONNECTED, nats.CLOSED)
	go s.watch()
	return s, nil
}

// watch ends with the sender, or with the connection.
func (s *Sender) watch() {
	defer close(s.lost)
	for status := range s.status {
		if status == nats.CLOSED {
			return
		}
		select {
		case s.lost <- struct{}{}:
		default: // told already
		}
	}
}

// Close ends it; no answer comes any more.
func (s *Sender) Close() {
	s.client.nc.RemoveStatusListener(s.status) // closes it
	close(s.done)
	_ = s.sub.Unsubscribe() // fails where the connection is closed
}

// Answers is where answers come, also to what was sent long ago.
func (s *Sender) Answers() <-chan Answer { return s.answers }

// Lost tells that the connection was lost: to what was sent before, no answer may
// come. It is closed where the client was.
func (s *Sender) Lost() <-chan struct{} { return s.lost }

// Send sends a message to be stored only if the last message on its subject, as
// the stream stores it, is at a position; 0: if there is none. So of several attempts with one message, each with the position
// that was right for it, at most one is stored, however late they arrive. The id
// is sent as Nats-Msg-Id.
func (s *Sender) Send(token uint64, m events.Message, id string, last uint64) error {
	msg := natsMsg(m, id)
	msg.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(last, 10))
	msg.Reply = s.inbox + strconv.FormatUint(token, 10)
	if err := s.client.nc.PublishMsg(msg); err != nil {
		return fmt.Errorf("publish on %s: %w", m.Subject, err)
	}
	return nil
}

func (s *Sender) receive(m *nats.Msg) {
	token, err := strconv.ParseUint(strings.TrimPrefix(m.Subject, s.inbox), 10, 64)
	if err != nil {
		return // nobody's answer
	}
	a := s.read(m)
	a.Token = token
	s.client.violations.requestAnswered()
	select {
	case s.answers <- a:
	case <-s.done:
	}
}

func (s *Sender) read(m *nats.Msg) (a Answer) {
	if len(m.Data) == 0 && m.Header.Get("Status") == "503" {
		a.Err = fmt.Errorf("no stream takes it: is JetStream on, and has `projector provision` been run here? (%w)", nats.ErrNoResponders)
		return a
	}
	var ack struct {
		Stream    string              `json:"stream"`
		Seq       uint64              `json:"seq"`
		Duplicate bool                `json:"duplicate"`
		Error     *jetstream.APIError `json:"error"`
	}
	switch err := json.Unmarshal(m.Data, &ack); {
	case err != nil:
		a.Err = fmt.Errorf("answer of the server: %w", err)
	case ack.Error != nil:
		a.Err = limited(ack.Error)
		switch ack.Error.ErrorCode {
		case errWrongLast:
			a.Conflict = true
			_, after, _ := strings.Cut(ack.Error.Description, ": ")
			last, err := strconv.ParseUint(after, 10, 64)
			a.Last, a.LastKnown = last, err == nil
		case errWrongLastConstant:
			a.Conflict = true
		}
	case ack.Stream != "" && ack.Stream != s.client.cfg.Stream:
		a.Err = fmt.Errorf("%w: stream %s has stored it at %d, and STREAM is %s", ErrAnotherStream, ack.Stream, ack.Seq, s.client.cfg.Stream)
	case ack.Seq == 0:
		a.Err = errors.New("the server's answer is neither an acknowledgement nor an error")
	default:
		a.Position, a.Duplicate = ack.Seq, ack.Duplicate
	}
	return a
}

// Publishing does what sends; where the user may not publish, that ends at once,
// with [ErrPermission].
func (c *Client) Publishing(ctx context.Context, do func(ctx context.Context) error) error {
	return c.withPermissionCheck(ctx, subjectRoot, do)
}

// What a server says where a message with the same id is being stored just now.
const errDuplicateInProcess jetstream.ErrorCode = 10158

// Passes tells whether the error of publishing or reading may be over when it is
// tried again: all but a refusal that is about the request itself.
func Passes(err error) bool {
	refused := (*jetstream.APIError)(nil)
	switch {
	case errors.Is(err, ErrPermission), errors.Is(err, ErrAnotherStream), errors.Is(err, jetstream.ErrStreamNotFound),
		errors.Is(err, nats.ErrMaxPayload), errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrBadSubject):
		return false
	case errors.As(err, &refused):
		return refused.Code >= 500 || refused.Code == 429 || refused.Code == 408 || refused.ErrorCode == errDuplicateInProcess
	}
	return true
}

// MessageID is the id that a message was published with, as Nats-Msg-Id; empty
// where there was none.
func MessageID(m projections.Message) string {
	if ids := m.Header[nats.MsgIdHdr]; len(ids) > 0 {
		return ids[0]
	}
	return ""
}

// MaxPayload is how many bytes a message may have with its headers, as the server
// says.
func (c *Client) MaxPayload() int { return int(c.nc.MaxPayload()) }

// What a server says of a message that is too large for the stream, or has too large a header.
const (
	errMessageTooLarge jetstream.ErrorCode = 10054
	errHeaderTooLarge  jetstream.ErrorCode = 10097
)

// RefusesMessage tells whether the error of publishing is about that message alone:
// others on other subjects may be taken.
func RefusesMessage(err error) bool {
	refused := (*jetstream.APIError)(nil)
	if errors.As(err, &refused) {
		return refused.ErrorCode == errMessageTooLarge || refused.ErrorCode == errHeaderTooLarge
	}
	return errors.Is(err, nats.ErrMaxPayload) || errors.Is(err, nats.ErrBadSubject)
}
