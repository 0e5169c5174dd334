package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Config says where the stream is and how the client connects and authenticates.
type Config struct {
	URL    string // URLs of the NATS servers, comma-separated
	Stream string // default CONTROL_PLANE
	Name   string // of the connection and its consumers, shown to operators

	// PrefetchBytes is how many bytes a reader lets the server send ahead of what was
	// asked for. Default 16 MiB; more than that brings nothing.
	PrefetchBytes int
	Logger        *slog.Logger // default slog.Default()

	// How the client authenticates; at most one of these ways. Default: by nothing, or by
	// the user in the URL.
	Creds          string // file with a user's JWT and seed
	NKey           string // file with a user's nkey seed
	User, Password string
	Token          string

	CA        string // file with certificate authorities (PEM); default: the system's
	Cert, Key string // files with the client certificate and its key (PEM); default none
	TLSFirst  bool   // the TLS handshake comes before the server's INFO

	// Where JetStream's API is: in a domain, or under a prefix. Default: the server's
	// own, $JS.API.
	Domain, Prefix string
	InboxPrefix    string // of the subjects of answers; default _INBOX

	// ConnectTimeout bounds the wait for the first connection. Default: unbounded.
	ConnectTimeout time.Duration
}

// api returns the prefix of JetStream's API subjects, with a dot at its end.
func (cfg Config) api() string {
	switch {
	case cfg.Domain != "":
		return "$JS." + cfg.Domain + ".API."
	case cfg.Prefix != "":
		return strings.TrimSuffix(cfg.Prefix, ".") + "."
	}
	return jetstream.DefaultAPIPrefix
}

// identity returns the options by which the client authenticates, and those that say
// which servers it trusts.
func (cfg Config) identity() (opts []nats.Option, err error) {
	switch {
	case cfg.Creds != "":
		opts = append(opts, nats.UserCredentials(cfg.Creds))
	case cfg.NKey != "":
		nkey, err := nats.NkeyOptionFromSeed(cfg.NKey)
		if err != nil {
			return nil, fmt.Errorf("the seed of an nkey in %s: %w", cfg.NKey, err)
		}
		opts = append(opts, nkey)
	case cfg.User != "":
		opts = append(opts, nats.UserInfo(cfg.User, cfg.Password))
	case cfg.Token != "":
		opts = append(opts, nats.Token(cfg.Token))
	}
	if cfg.CA != "" {
		opts = append(opts, nats.RootCAs(cfg.CA))
	}
	if cfg.Cert != "" {
		opts = append(opts, nats.ClientCert(cfg.Cert, cfg.Key))
	}
	if cfg.TLSFirst {
		opts = append(opts, nats.TLSHandshakeFirst())
	}
	if cfg.InboxPrefix != "" {
		opts = append(opts, nats.CustomInboxPrefix(cfg.InboxPrefix))
	}
	return opts, nil
}

// Connect connects to NATS, and from then on reconnects without end whenever the
// connection is lost. It waits until a server can be reached, at most for
// Config.ConnectTimeout and until ctx ends; then it returns an error that says, for
// each server, why it could not be used. Where ConnectTimeout is set and every server
// rejects the client's credentials or configuration, it returns at once, since
// waiting would not help.
func Connect(ctx context.Context, cfg Config) (*Client, error) {
	if cfg.Stream == "" {
		cfg.Stream = "CONTROL_PLANE"
	}
	if cfg.PrefetchBytes == 0 {
		cfg.PrefetchBytes = 16 << 20
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	c := &Client{cfg: cfg, prefix: cfg.api(), log: cfg.Logger, violations: &violations{}, reconnectPending: &atomic.Bool{}, consumerDelete: &sync.Map{}, outage: &outage{}}
	if cfg.Domain != "" {
		c.violations.domain = c.prefix
	}
	identity, err := cfg.identity()
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	opts := append(identity,
		nats.Name(cfg.Name),
		nats.MaxReconnects(-1),
		nats.CustomReconnectDelay(reconnectDelay),
		nats.RetryOnFailedConnect(true),
		nats.PingInterval(10*time.Second),
		nats.MaxPingsOutstanding(2),
		nats.IgnoreAuthErrorAbort(), // credentials may be fixed while the client retries
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil { // nil when the client was closed
				c.log.Warn("disconnected from NATS", "error", err)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			c.violations.reset()
			c.outage.end()
			c.log.Info("connected to NATS again", "server", redacted(nc.ConnectedUrl()))
		}),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil && c.outage.shouldLog() {
				c.log.Warn("waiting for NATS", "servers", c.Servers(), "error", err)
			}
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			if c.violations.handle(err) {
				c.scheduleReconnect()
			}
			if !errors.Is(err, nats.ErrBadHeaderMsg) { // concerns one message, which is delivered without headers
				c.log.Warn("NATS", "error", err)
			}
		}),
	)
	if c.nc, err = nats.Connect(cfg.URL, opts...); err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	if c.js, err = c.jetStream(); err != nil {
		c.nc.Close()
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	if err := c.connected(ctx); err != nil {
		c.nc.Close()
		return nil, err
	}
	c.outage.end()
	return c, nil
}

func (c *Client) jetStream(opts ...jetstream.JetStreamOpt) (jetstream.JetStream, error) {
	return jetstream.NewWithAPIPrefix(c.nc, c.prefix, opts...)
}

// connected waits until the first connection is up. When that takes longer than a
// second, each server is tried on its own to find out why.
func (c *Client) connected(ctx context.Context) error {
	began, nextLog := time.Now(), time.Second
	for !c.nc.IsConnected() {
		waited := time.Since(began)
		timedOut := c.cfg.ConnectTimeout > 0 && waited >= c.cfg.ConnectTimeout
		if timedOut || waited >= nextLog {
			nextLog = 2*waited + time.Second
			why, final := c.diagnose(ctx)
			switch {
			case c.nc.IsConnected() || len(why) == 0 && !timedOut:
				continue
			case c.cfg.ConnectTimeout > 0 && final:
				return fmt.Errorf("connect to NATS: %s", strings.Join(why, "; "))
			case timedOut:
				return fmt.Errorf("connect to NATS: not within %v: %s", c.cfg.ConnectTimeout, strings.Join(append(why, c.answersNow(why)...), "; "))
			}
			c.log.Warn("waiting for NATS", "servers", c.Servers(), "error", strings.Join(why, "; "))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("connect to NATS at %s: %w before a server had answered", c.Servers(), ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
	return nil
}

// answersNow returns a reason for the timeout where no server gave one, since all of
// them answer by now.
func (c *Client) answersNow(why []string) []string {
	if len(why) > 0 {
		return nil
	}
	return []string{c.Servers() + " answers only now: try again"}
}

// Servers lists the servers known to the connection, without credentials.
func (c *Client) Servers() string {
	var out []string
	for _, server := range c.nc.Servers() {
		out = append(out, redacted(server))
	}
	return strings.Join(out, ", ")
}

// Redacted returns a comma-separated list of server URLs without user, password and
// token.
func Redacted(servers string) string {
	var out []string
	for server := range strings.SplitSeq(servers, ",") {
		out = append(out, redacted(strings.TrimSpace(server)))
	}
	return strings.Join(out, ", ")
}

// redacted returns a server's URL without user, password and token.
func redacted(server string) string {
	u, err := url.Parse(server)
	if err != nil {
		return "a server whose URL cannot be read"
	}
	u.User = nil
	return u.String()
}

// reconnectDelay returns how long to wait after every server has been tried this many
// times: 250 ms, doubled each round up to 2 s, half of it random.
func reconnectDelay(rounds int) time.Duration {
	longest := min(250*time.Millisecond<<min(rounds, 10), 2*time.Second)
	return longest/2 + rand.N(longest/2)
}
