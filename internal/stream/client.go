package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"accountexport/projections"
	"accountexport/projections/engine"
)

// Client reads, publishes to and provisions one stream.
type Client struct {
	cfg    Config
	prefix string // of the subjects of JetStream's API, with a dot at its end
	nc     *nats.Conn
	js     jetstream.JetStream
	log    *slog.Logger

	violations       *violations
	reconnectPending *atomic.Bool // the connection is about to be made anew for that
	outage           *outage
	consumerDelete   *sync.Map // streams whose consumers may be removed
	copy             bool      // of the stream that is projected
}

// requestTimeout bounds one request to the server.
const requestTimeout = 5 * time.Second

// Close closes the connection.
func (c *Client) Close() { c.nc.Close() }

// Connected tells whether the connection stands right now.
func (c *Client) Connected() bool { return c.nc.IsConnected() }

// ConnectCount counts how often the connection was made, so that who looks now
// and then knows whether the server may have been another meanwhile.
func (c *Client) ConnectCount() uint64 { return 1 + c.nc.Stats().Reconnects }

// Info implements [engine.Source]. Where the subject transform is missing
// or another one, the stream is refused, and what else it says of itself is
// returned all the same.
func (c *Client) Info(ctx context.Context) (engine.StreamInfo, error) {
	info, err := c.stream(ctx)
	if err != nil {
		return engine.StreamInfo{}, c.explain(err)
	}
	return c.infoOf(info)
}

// stream asks the server about the stream.
func (c *Client) stream(ctx context.Context) (*jetstream.StreamInfo, error) {
	return c.streamWith(ctx, nil)
}

// streamWith asks for more than is told unasked.
func (c *Client) streamWith(ctx context.Context, question any) (*jetstream.StreamInfo, error) {
	var info jetstream.StreamInfo
	if err := c.api(ctx, "STREAM.INFO."+c.cfg.Stream, question, &info); err != nil {
		return nil, err
	}
	return &info, nil
}

func (c *Client) infoOf(info *jetstream.StreamInfo) (out engine.StreamInfo, err error) {
	at := info.TimeStamp
	if at.IsZero() {
		at = time.Now()
	}
	out = engine.StreamInfo{Name: info.Config.Name, Created: info.Created, ID: info.Config.Metadata[idKey], First: info.State.FirstSeq,
		Last: info.State.LastSeq, Time: at, Messages: info.State.Msgs, Subjects: info.State.NumSubjects,
		Deviations: deviations(info.Config)}
	if info.State.Lost != nil {
		out.Lost = info.State.Lost.Msgs
	}
	if out.Partitions, err = partitionCount(info.Config.SubjectTransform); err != nil && !c.copy {
		return out, noTransform(info.Config, err)
	}
	return out, nil
}

// scheduleReconnect has the connection made anew in a moment: the server has taken the
// subscription to answers away, and the client library does not make it again, not
// even once it may. Where it still may not, that is told again, and so on.
func (c *Client) scheduleReconnect() {
	if c.reconnectPending.Swap(true) {
		return
	}
	time.AfterFunc(answerTimeout, func() {
		c.reconnectPending.Store(false)
		if c.nc != nil && c.nc.IsConnected() {
			c.log.Warn("the NATS user may not subscribe to where answers come; connecting anew", "server", redacted(c.nc.ConnectedUrl()))
			_ = c.nc.ForceReconnect() // fails for a closed connection
		}
	})
}

// answerTimeout is more than a server that lives takes to answer a ping.
const answerTimeout = 2 * time.Second

// checkConnection has the connection made anew where it has died without an end: a
// request or a reading went without an answer, and so does a ping. The
// connection's own pings would take longer to notice.
func (c *Client) checkConnection() {
	if c.nc.IsConnected() && errors.Is(c.nc.FlushTimeout(answerTimeout), nats.ErrTimeout) {
		c.log.Warn("NATS does not answer; connecting anew", "server", redacted(c.nc.ConnectedUrl()))
		_ = c.nc.ForceReconnect() // fails for a closed connection
	}
}

// onTimeout is the error of a request that had the limit's time.
func (c *Client) onTimeout(ctx, limit context.Context, err error) error {
	if err != nil && ctx.Err() == nil && limit.Err() != nil {
		c.checkConnection()
	}
	return err
}

// explain says what to do about a stream that is not there.
func (c *Client) explain(err error) error {
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("stream %s: %w: `projector provision` creates it", c.cfg.Stream, err)
	}
	return fmt.Errorf("stream %s: %w", c.cfg.Stream, err)
}

// FirstAfter implements [engine.Source].
func (c *Client) FirstAfter(ctx context.Context, after uint64) (uint64, bool, error) {
	m, err := c.get(ctx, getRequest{Seq: after + 1, NextFor: ">"})
	if errors.Is(err, ErrNoMessage) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("first message after %d: %w", after, err)
	}
	return m.Position, true, nil
}

// At implements [engine.Source].
func (c *Client) At(ctx context.Context, position uint64) (projections.Message, bool, error) {
	m, err := c.Get(ctx, position)
	if errors.Is(err, ErrNoMessage) {
		return m, false, nil
	}
	return m, err == nil, err
}

// ErrNoMessage means that the stream holds no message at a position.
var ErrNoMessage = errors.New("no message at this position")

// Get reads one message; [ErrNoMessage] where there is none.
func (c *Client) Get(ctx context.Context, position uint64) (projections.Message, error) {
	m, err := c.get(ctx, getRequest{Seq: position})
	if err != nil {
		return m, fmt.Errorf("message %d: %w", position, err)
	}
	return m, nil
}

// lastOf is the position of the last message on a subject, a literal one: where
// the stream's last message was deleted, the server knows none on a wildcard. 0
// where there is none.
func (c *Client) lastOf(ctx context.Context, subject string) (uint64, error) {
	m, err := c.get(ctx, getRequest{LastFor: subject})
	if errors.Is(err, ErrNoMessage) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("last message on %s: %w", subject, err)
	}
	return m.Position, nil
}

// getRequest is JetStream's own, io.nats.jetstream.api.v1.stream_msg_get_request.
type getRequest struct {
	Seq     uint64 `json:"seq,omitempty"`
	NextFor string `json:"next_by_subj,omitempty"`
	LastFor string `json:"last_by_subj,omitempty"`
}

// get asks the stream's leader. The client library would ask any replica where
// the stream allows direct access, and a replica may not have the newest
// messages yet: what it does not find may be there all the same.
func (c *Client) get(ctx context.Context, req getRequest) (m projections.Message, err error) {
	body, err := json.Marshal(req)
	if err != nil {
		return m, err
	}
	msg, err := c.request(ctx, &nats.Msg{Subject: c.prefix + "STREAM.MSG.GET." + c.cfg.Stream, Data: body})
	if err != nil {
		return m, err
	}
	var resp struct {
		Message *struct {
			Subject string    `json:"subject"`
			Seq     uint64    `json:"seq"`
			Header  []byte    `json:"hdrs"`
			Data    []byte    `json:"data"`
			Time    time.Time `json:"time"`
		} `json:"message"`
		Error *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(msg.Data, &resp); err != nil {
		return m, fmt.Errorf("answer of the server: %w", err)
	}
	switch {
	case resp.Error != nil && resp.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return m, ErrNoMessage
	case resp.Error != nil:
		return m, c.explain(resp.Error)
	case resp.Message == nil:
		return m, errors.New("the server's answer holds neither a message nor an error")
	}
	m.Position, m.Time, m.Data = resp.Message.Seq, resp.Message.Time, resp.Message.Data
	m.Subject, m.Partition = SplitSubject(resp.Message.Subject)
	if len(resp.Message.Header) > 0 {
		// A header block that cannot be read is none, as in delivery.
		if h, err := nats.DecodeHeadersMsg(resp.Message.Header); err == nil {
			m.Header = h
		}
	}
	return m, nil
}
