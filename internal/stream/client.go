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

// Client reads, publishes to and provisions one stream over one connection. It is safe
// for concurrent use.
type Client struct {
	// Set by Connect. WithStream changes cfg.Stream and copy in its copy.
	cfg    Config
	prefix string // of JetStream's API subjects, with a dot at its end
	nc     *nats.Conn
	js     jetstream.JetStream
	log    *slog.Logger
	copy   bool // the stream is a copy of the projected one

	// Shared by all clients of the connection, and each with a lock of its own.
	violations       *violations
	outage           *outage
	reconnectPending *atomic.Bool // scheduleReconnect is about to reconnect
	consumerDelete   *sync.Map    // streams, by name, of which consumers may be deleted
}

// requestTimeout bounds one request to the server.
const requestTimeout = 5 * time.Second

// Close closes the connection. Readers of the client end with [ErrConnectionLost].
func (c *Client) Close() { c.nc.Close() }

// Connected reports whether the connection is up at this moment.
func (c *Client) Connected() bool { return c.nc.IsConnected() }

// ConnectCount returns how many times a connection was established. A caller that
// polls it learns from a changed count that the server may have been replaced since.
func (c *Client) ConnectCount() uint64 { return 1 + c.nc.Stats().Reconnects }

// Info implements [engine.Source]. A stream whose subject transform is missing or is
// not the contract's is refused with [engine.ErrPartitions]; the rest of the
// information is returned with that error.
func (c *Client) Info(ctx context.Context) (engine.StreamInfo, error) {
	info, err := c.stream(ctx)
	if err != nil {
		return engine.StreamInfo{}, c.explain(err)
	}
	return c.infoOf(info)
}

// stream requests the stream's configuration and state.
func (c *Client) stream(ctx context.Context) (*jetstream.StreamInfo, error) {
	return c.streamWith(ctx, nil)
}

// streamWith requests them with details that the server leaves out by default.
func (c *Client) streamWith(ctx context.Context, request any) (*jetstream.StreamInfo, error) {
	var info jetstream.StreamInfo
	if err := c.api(ctx, "STREAM.INFO."+c.cfg.Stream, request, &info); err != nil {
		return nil, err
	}
	return &info, nil
}

// infoOf converts the server's answer. Its error is noTransform's; a copy may be
// without a transform.
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

// scheduleReconnect forces a reconnect after answerTimeout. It is called when the
// server has revoked the subscription to the inbox: the client library does not
// subscribe again on the same connection, even once the permission is back. If the
// permission is still missing after the reconnect, the violation is reported again
// and so is the reconnect scheduled.
func (c *Client) scheduleReconnect() {
	if c.reconnectPending.Swap(true) {
		return
	}
	time.AfterFunc(answerTimeout, func() {
		c.reconnectPending.Store(false)
		if c.nc != nil && c.nc.IsConnected() {
			c.log.Warn("the NATS user may not subscribe to where answers come; connecting anew", "server", redacted(c.nc.ConnectedUrl()))
			_ = c.nc.ForceReconnect() // fails only on a closed connection
		}
	})
}

// answerTimeout is longer than a server that is alive takes to answer a ping.
const answerTimeout = 2 * time.Second

// checkConnection forces a reconnect if the connection is dead although it was never
// closed: it is called after a request or a read timed out, and pings the server. The
// connection's own pings would take longer to notice.
func (c *Client) checkConnection() {
	if c.nc.IsConnected() && errors.Is(c.nc.FlushTimeout(answerTimeout), nats.ErrTimeout) {
		c.log.Warn("NATS does not answer; connecting anew", "server", redacted(c.nc.ConnectedUrl()))
		_ = c.nc.ForceReconnect() // fails only on a closed connection
	}
}

// onTimeout returns err unchanged. Where err comes from the request's own deadline
// (limit) and not from the caller's context, it first checks the connection.
func (c *Client) onTimeout(ctx, limit context.Context, err error) error {
	if err != nil && ctx.Err() == nil && limit.Err() != nil {
		c.checkConnection()
	}
	return err
}

// explain adds to an error about the stream its name and, where the stream does not
// exist, the command that creates it.
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

// Get reads the message at a position. Where there is none, the error is
// [ErrNoMessage].
func (c *Client) Get(ctx context.Context, position uint64) (projections.Message, error) {
	m, err := c.get(ctx, getRequest{Seq: position})
	if err != nil {
		return m, fmt.Errorf("message %d: %w", position, err)
	}
	return m, nil
}

// lastOf returns the position of the last message on a literal subject, and 0 where
// there is none. It does not take wildcards: where the stream's last message was
// deleted, the server finds no last message for a wildcard.
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

// getRequest is JetStream's request io.nats.jetstream.api.v1.stream_msg_get_request.
type getRequest struct {
	Seq     uint64 `json:"seq,omitempty"`
	NextFor string `json:"next_by_subj,omitempty"`
	LastFor string `json:"last_by_subj,omitempty"`
}

// get reads one message from the stream's leader. With direct access allowed, the
// client library would ask any replica, and a replica may lack the newest messages:
// what it does not find may exist all the same.
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
		// A header block that cannot be parsed counts as none, as it does in delivery.
		if h, err := nats.DecodeHeadersMsg(resp.Message.Header); err == nil {
			m.Header = h
		}
	}
	return m, nil
}
