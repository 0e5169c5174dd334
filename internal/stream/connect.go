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

// Config says where the stream is, and who asks for it.
type Config struct {
	URL           string       // of the NATS servers, comma-separated
	Stream        string       // default CONTROL_PLANE
	Name          string       // of this connection and its consumers, for people
	PrefetchBytes int          // bytes that a reader has the server send before they are wanted; default, and most that pays, 16 MiB
	Logger        *slog.Logger // default: slog.Default()

	// Who the client is, in one of these ways; default: nobody, or whom the URL names.
	Creds          string // file with credentials
	NKey           string // file with a user's seed
	User, Password string
	Token          string

	CA        string // file with certificate authorities; default: the system's
	Cert, Key string // files with the client's certificate and its key; default: none
	TLSFirst  bool   // the server does not speak before TLS

	// Where JetStream's API is: in a domain, or under a prefix; default: the
	// server's own, $JS.API.
	Domain, Prefix string
	InboxPrefix    string // of the subjects of answers; default _INBOX

	// ConnectTimeout is how long the first connection is waited for; default: for ever.
	ConnectTimeout time.Duration
}

// api is the prefix of the subjects of JetStream's API.
func (cfg Config) api() string {
	switch {
	case cfg.Domain != "":
		return "$JS." + cfg.Domain + ".API."
	case cfg.Prefix != "":
		return strings.TrimSuffix(cfg.Prefix, ".") + "."
	}
	return jetstream.DefaultAPIPrefix
}

// identity are the options that say who the client is, and whom it trusts.
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

// Connect connects, and reconnects for ever when the connection is lost. A
// server that cannot be reached now is an error once Config.Patience is over, or
// ctx ends; one that refuses the client is so at once where there is a Patience.
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
		nats.IgnoreAuthErrorAbort(), // credentials may be mended meanwhile
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil { // nil where the client was closed
				c.log.Warn("disconnected from NATS", "error", err)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			c.violations.reset()
			c.outage.over()
			c.log.Info("connected to NATS again", "server", redacted(nc.ConnectedUrl()))
		}),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil && c.outage.say() {
				c.log.Warn("waiting for NATS", "servers", c.Servers(), "error", err)
			}
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			if c.violations.handle(err) {
				c.scheduleReconnect()
			}
			if !errors.Is(err, nats.ErrBadHeaderMsg) { // that message's own fault; it comes without headers
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
	c.outage.over()
	return c, nil
}

func (c *Client) jetStream(opts ...jetstream.JetStreamOpt) (jetstream.JetStream, error) {
	return jetstream.NewWithAPIPrefix(c.nc, c.prefix, opts...)
}

// connected waits until the first connection stands. Where it takes long, each
// server is tried by itself, to say why.
func (c *Client) connected(ctx context.Context) error {
	began, say := time.Now(), time.Second
	for !c.nc.IsConnected() {
		waited := time.Since(began)
		over := c.cfg.ConnectTimeout > 0 && waited >= c.cfg.ConnectTimeout
		if over || waited >= say {
			say = 2*waited + time.Second
			why, final := c.diagnose(ctx)
			switch {
			case c.nc.IsConnected() || len(why) == 0 && !over:
				continue
			case c.cfg.ConnectTimeout > 0 && final:
				return fmt.Errorf("connect to NATS: %s", strings.Join(why, "; "))
			case over:
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

// answersNow says so where nothing is wrong any more.
func (c *Client) answersNow(why []string) []string {
	if len(why) > 0 {
		return nil
	}
	return []string{c.Servers() + " answers only now: try again"}
}

// Servers are those that there are to connect to, without passwords.
func (c *Client) Servers() string {
	var out []string
	for _, server := range c.nc.Servers() {
		out = append(out, redacted(server))
	}
	return strings.Join(out, ", ")
}

// Redacted are servers, separated by commas, without user, password and token.
func Redacted(servers string) string {
	var out []string
	for server := range strings.SplitSeq(servers, ",") {
		out = append(out, redacted(strings.TrimSpace(server)))
	}
	return strings.Join(out, ", ")
}

// redacted is a server's URL without user, password and token.
func redacted(server string) string {
	u, err := url.Parse(server)
	if err != nil {
		return "a server whose URL cannot be read"
	}
	u.User = nil
	return u.String()
}

// reconnectDelay is how long to wait after every server was tried so often.
func reconnectDelay(rounds int) time.Duration {
	longest := min(250*time.Millisecond<<min(rounds, 10), 2*time.Second)
	return longest/2 + rand.N(longest/2)
}
