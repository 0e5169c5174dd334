package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"accountexport/events"
	"accountexport/projections"
)

// Config says where the stream is.
type Config struct {
	URL    string       // of the NATS servers, comma-separated
	Creds  string       // file with credentials; default: none
	CA     string       // file with certificate authorities; default: the system's
	Stream string       // default CONTROL_PLANE
	Name   string       // of this connection, for people
	Logger *slog.Logger // default: slog.Default()
}

// Client reads, publishes to and provisions one stream.
type Client struct {
	cfg Config
	nc  *nats.Conn
	js  jetstream.JetStream
	log *slog.Logger
}

// requestTimeout bounds one request to the server.
const requestTimeout = 5 * time.Second

// Connect connects, and reconnects for ever when the connection is lost. A
// server that cannot be reached now is an error only once ctx ends.
func Connect(ctx context.Context, cfg Config) (*Client, error) {
	if cfg.Stream == "" {
		cfg.Stream = "CONTROL_PLANE"
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	c := &Client{cfg: cfg, log: cfg.Logger}
	opts := []nats.Option{
		nats.Name(cfg.Name),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(250 * time.Millisecond),
		nats.ReconnectJitter(250*time.Millisecond, time.Second),
		nats.RetryOnFailedConnect(true),
		nats.PingInterval(10 * time.Second),
		nats.MaxPingsOutstanding(2),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { c.log.Warn("disconnected from NATS", "error", err) }),
		nats.ReconnectHandler(func(nc *nats.Conn) { c.log.Info("connected to NATS again", "server", nc.ConnectedUrlRedacted()) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { c.log.Warn("NATS", "error", err) }),
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
	for said := false; !nc.IsConnected(); said = true {
		if !said {
			c.log.Info("waiting for NATS")
		}
		select {
		case <-ctx.Done():
			nc.Close()
			return nil, fmt.Errorf("connect to NATS: %w: %w", ctx.Err(), nc.LastError())
		case <-time.After(100 * time.Millisecond):
		}
	}
	return c, nil
}

// Close closes the connection.
func (c *Client) Close() { c.nc.Close() }

// Connected tells whether the connection stands right now.
func (c *Client) Connected() bool { return c.nc.IsConnected() }

// Info implements [projections.Source].
func (c *Client) Info(ctx context.Context) (projections.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	s, err := c.js.Stream(ctx, c.cfg.Stream) // asks the server, and keeps the answer
	if err != nil {
		return projections.StreamInfo{}, c.explain(err)
	}
	info := s.CachedInfo()
	partitions, err := partitionCount(info.Config.SubjectTransform)
	if err != nil {
		return projections.StreamInfo{}, fmt.Errorf("stream %s: %w", c.cfg.Stream, err)
	}
	at := info.TimeStamp
	if at.IsZero() {
		at = time.Now()
	}
	return projections.StreamInfo{Name: info.Config.Name, Created: info.Created, First: info.State.FirstSeq,
		Last: info.State.LastSeq, Partitions: partitions, Time: at}, nil
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
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	s, err := c.js.Stream(ctx, c.cfg.Stream)
	if err != nil {
		return 0, false, c.explain(err)
	}
	m, err := s.GetMsg(ctx, after+1, jetstream.WithGetMsgSubject(">"))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("first message after %d: %w", after, err)
	}
	return m.Sequence, true, nil
}

// ErrNoMessage means that the stream holds no message at a position.
var ErrNoMessage = errors.New("no message at this position")

// Get reads one message; [ErrNoMessage] where there is none.
func (c *Client) Get(ctx context.Context, position uint64) (projections.Message, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	s, err := c.js.Stream(ctx, c.cfg.Stream)
	if err != nil {
		return projections.Message{}, c.explain(err)
	}
	m, err := s.GetMsg(ctx, position)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return projections.Message{}, fmt.Errorf("message %d: %w", position, ErrNoMessage)
	}
	if err != nil {
		return projections.Message{}, fmt.Errorf("message %d: %w", position, err)
	}
	subject, partition := SplitSubject(m.Subject)
	return projections.Message{Position: m.Sequence, Time: m.Time, Partition: partition,
		Message: events.Message{Subject: subject, Header: m.Header, Data: m.Data}}, nil
}

// lastOf is the position of the last message on a subject, wildcards allowed;
// 0 where there is none.
func (c *Client) lastOf(ctx context.Context, subject string) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	s, err := c.js.Stream(ctx, c.cfg.Stream)
	if err != nil {
		return 0, c.explain(err)
	}
	m, err := s.GetLastMsgForSubject(ctx, subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("last message on %s: %w", subject, err)
	}
	return m.Sequence, nil
}
