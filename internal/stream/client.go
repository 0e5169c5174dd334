package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"accountexport/projections"
)

// Config says where the stream is.
type Config struct {
	URL       string       // of the NATS servers, comma-separated
	Creds     string       // file with credentials; default: none
	CA        string       // file with certificate authorities; default: the system's
	Stream    string       // default CONTROL_PLANE
	Name      string       // of this connection, for people
	ReadAhead int          // bytes that a reader has the server send before they are wanted; default, and most that pays, 16 MiB
	Logger    *slog.Logger // default: slog.Default()

	// Patience is how long the first connection is waited for; default: for ever.
	Patience time.Duration
}

// Client reads, publishes to and provisions one stream.
type Client struct {
	cfg Config
	nc  *nats.Conn
	js  jetstream.JetStream
	log *slog.Logger

	denials *denials
	copy    bool // of the stream that is projected
}

// requestTimeout bounds one request to the server.
const requestTimeout = 5 * time.Second

// Connect connects, and reconnects for ever when the connection is lost. A
// server that cannot be reached now is an error once Config.Patience is over, or
// ctx ends.
func Connect(ctx context.Context, cfg Config) (*Client, error) {
	if cfg.Stream == "" {
		cfg.Stream = "CONTROL_PLANE"
	}
	if cfg.ReadAhead == 0 {
		cfg.ReadAhead = 16 << 20
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	c := &Client{cfg: cfg, log: cfg.Logger, denials: &denials{}}
	opts := []nats.Option{
		nats.Name(cfg.Name),
		nats.MaxReconnects(-1),
		nats.CustomReconnectDelay(reconnectDelay),
		nats.RetryOnFailedConnect(true),
		nats.PingInterval(10 * time.Second),
		nats.MaxPingsOutstanding(2),
		nats.IgnoreAuthErrorAbort(), // credentials may be mended meanwhile
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil { // nil where the client was closed
				c.log.Warn("disconnected from NATS", "error", err)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) { c.log.Info("connected to NATS again", "server", nc.ConnectedUrlRedacted()) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			c.denials.heard(err)
			if !errors.Is(err, nats.ErrBadHeaderMsg) { // that message's own fault; it comes without headers
				c.log.Warn("NATS", "error", err)
			}
		}),
	}
	if cfg.Creds != "" {
		opts = append(opts, nats.UserCredentials(cfg.Creds))
	}
	if cfg.CA != "" {
		opts = append(opts, nats.RootCAs(cfg.CA))
	}
	nc, err := nats.Connect(cfg.URL, opts...)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	c.nc = nc
	if c.js, err = jetstream.New(nc); err != nil {
		nc.Close()
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	if err := c.connected(ctx); err != nil {
		nc.Close()
		return nil, err
	}
	return c, nil
}

// connected waits until the first connection stands.
func (c *Client) connected(ctx context.Context) error {
	began, say := time.Now(), time.Second
	for !c.nc.IsConnected() {
		why := "no server has answered yet"
		if last := c.nc.LastError(); last != nil {
			why = last.Error()
		}
		waited := time.Since(began)
		if waited >= say {
			c.log.Warn("waiting for NATS", "servers", c.servers(), "error", why)
			say *= 2
		}
		if c.cfg.Patience > 0 && waited >= c.cfg.Patience {
			return fmt.Errorf("connect to NATS at %s: not within %v: %s: is it running, and NATS_URL right?", c.servers(), c.cfg.Patience, why)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("connect to NATS at %s: %w: %s", c.servers(), ctx.Err(), why)
		case <-time.After(100 * time.Millisecond):
		}
	}
	return nil
}

// servers are those of the configuration, without passwords.
func (c *Client) servers() string {
	var out []string
	for _, server := range c.nc.Servers() {
		if u, err := url.Parse(server); err == nil {
			server = u.Redacted()
		}
		out = append(out, server)
	}
	return strings.Join(out, ", ")
}

// reconnectDelay is how long to wait after every server was tried so often.
func reconnectDelay(rounds int) time.Duration {
	longest := min(250*time.Millisecond<<min(rounds, 10), 2*time.Second)
	return longest/2 + rand.N(longest/2)
}

// Close closes the connection.
func (c *Client) Close() { c.nc.Close() }

// Connected tells whether the connection stands right now.
func (c *Client) Connected() bool { return c.nc.IsConnected() }

// Connections counts how often the connection was made, so that who looks now
// and then knows whether the server may have been another meanwhile.
func (c *Client) Connections() uint64 { return 1 + c.nc.Stats().Reconnects }

// Info implements [projections.Source]. Where the subject transform is missing
// or another one, the stream is refused, and what else it says of itself is
// returned all the same.
func (c *Client) Info(ctx context.Context) (projections.StreamInfo, error) {
	s, err := c.stream(ctx)
	if err != nil {
		return projections.StreamInfo{}, c.explain(err)
	}
	return c.infoOf(s.CachedInfo())
}

// stream asks the server, and keeps the answer.
func (c *Client) stream(ctx context.Context) (s jetstream.Stream, err error) {
	limit, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	err = c.permitted(limit, "$JS.API.STREAM.INFO."+c.cfg.Stream, func(limit context.Context) (err error) {
		s, err = c.js.Stream(limit, c.cfg.Stream)
		return err
	})
	return s, c.asked(ctx, limit, err)
}

func (c *Client) infoOf(info *jetstream.StreamInfo) (out projections.StreamInfo, err error) {
	at := info.TimeStamp
	if at.IsZero() {
		at = time.Now()
	}
	out = projections.StreamInfo{Name: info.Config.Name, Created: info.Created, ID: info.Config.Metadata[idKey], First: info.State.FirstSeq,
		Last: info.State.LastSeq, Time: at, Messages: info.State.Msgs, Subjects: info.State.NumSubjects,
		Off: deviations(info.Config)}
	if info.State.Lost != nil {
		out.Lost = info.State.Lost.Msgs
	}
	if out.Partitions, err = partitionCount(info.Config.SubjectTransform); err != nil && !c.copy {
		return out, noTransform(c.cfg.Stream, err)
	}
	return out, nil
}

// answerTimeout is more than a server that lives takes to answer a ping.
const answerTimeout = 2 * time.Second

// doubt has the connection made anew where it has died without an end: a
// request or a reading went without an answer, and so does a ping. The
// connection's own pings would take longer to notice.
func (c *Client) doubt() {
	if c.nc.IsConnected() && errors.Is(c.nc.FlushTimeout(answerTimeout), nats.ErrTimeout) {
		c.log.Warn("NATS does not answer; connecting anew", "server", c.nc.ConnectedUrlRedacted())
		_ = c.nc.ForceReconnect() // fails for a closed connection
	}
}

// asked is the error of a request that had the limit's time.
func (c *Client) asked(ctx, limit context.Context, err error) error {
	if err != nil && ctx.Err() == nil && limit.Err() != nil {
		c.doubt()
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

// First implements [projections.Source].
func (c *Client) First(ctx context.Context, after uint64) (uint64, bool, error) {
	m, err := c.get(ctx, getRequest{Seq: after + 1, NextFor: ">"})
	if errors.Is(err, ErrNoMessage) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("first message after %d: %w", after, err)
	}
	return m.Position, true, nil
}

// At implements [projections.Source].
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
	msg, err := c.request(ctx, &nats.Msg{Subject: "$JS.API.STREAM.MSG.GET." + c.cfg.Stream, Data: body})
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
