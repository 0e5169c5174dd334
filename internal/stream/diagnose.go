package stream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
)

// diagnose tries each server on its own and returns why it cannot be used. It exists
// because the client library keeps only the last error, and drops some. final is true
// where every server rejects the client in a way that waiting does not change.
func (c *Client) diagnose(ctx context.Context) (why []string, final bool) {
	servers := c.nc.Servers()
	reasons := make([]string, len(servers))
	finals := make([]bool, len(servers))
	var wg sync.WaitGroup
	for i, server := range servers {
		wg.Go(func() { reasons[i], finals[i] = c.dialOne(ctx, server) })
	}
	wg.Wait()
	final = true
	for i, s := range reasons {
		if s != "" {
			why = append(why, redacted(servers[i])+": "+s)
		}
		final = final && finals[i]
	}
	return why, final
}

// tryTimeout is how long a server may take to introduce itself.
const tryTimeout = 2 * time.Second

// dialOne connects to one server and closes the connection again. why is empty where
// that worked.
func (c *Client) dialOne(ctx context.Context, server string) (why string, final bool) {
	opts, err := c.cfg.identity()
	if err != nil {
		return err.Error(), true
	}
	first := &firstDial{ctx: ctx}
	nc, err := nats.Connect(server, append(opts, nats.Name(c.cfg.Name), nats.NoReconnect(), nats.Timeout(tryTimeout),
		nats.IgnoreDiscoveredServers(), nats.SetCustomDialer(first))...)
	if err == nil {
		nc.Close()
		return "", false
	}
	if first.err != nil { // the library reports a refused connection as "no servers available"
		return explainDialError(first.err), false
	}
	return c.explainConnectError(err)
}

// firstDial dials for one connection attempt and keeps the error where the server
// could not be reached.
type firstDial struct {
	ctx context.Context
	err error
}

// Dial implements [nats.CustomDialer].
func (d *firstDial) Dial(network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: tryTimeout}).DialContext(d.ctx, network, address)
	d.err = err // of the last address that the name resolves to
	return conn, err
}

// explainDialError says why a server could not be reached, and what to check.
func explainDialError(err error) string {
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		return fmt.Sprintf("no address is known for %s: is the name in NATS_URL right?", dns.Name)
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nobody listens there (connection refused): is it running, and NATS_URL right?"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Sprintf("no connection within %v: is NATS_URL right, and does the network let it through?", tryTimeout)
	}
	return err.Error() + ": is it running, and NATS_URL right?"
}

// explainConnectError says what the error of a server that was reached means, and
// whether waiting will not change it (final).
func (c *Client) explainConnectError(err error) (why string, final bool) {
	var (
		unknown x509.UnknownAuthorityError
		host    x509.HostnameError
		invalid x509.CertificateInvalidError
		plain   tls.RecordHeaderError
		text    = strings.ToLower(err.Error())
	)
	switch {
	case errors.As(err, &unknown):
		return fmt.Sprintf("its certificate is of an authority that %s not know (%v): NATS_CA has to name the file with that authority", c.trustSource(), err), true
	case errors.As(err, &host), errors.As(err, &invalid):
		return fmt.Sprintf("its certificate is not right for it (%v)", err), true
	case errors.Is(err, nats.ErrSecureConnWanted):
		return "it has no TLS, which NATS_CA, NATS_CERT or a tls:// in NATS_URL asks for: leave those out, or have the server speak TLS", true
	case strings.Contains(text, "certificate required"):
		return fmt.Sprintf("it wants a client certificate (%v): NATS_CERT and NATS_KEY have to name one", err), true
	case strings.Contains(text, "unknown certificate authority"), strings.Contains(text, "bad certificate"), strings.Contains(text, "certificate unknown"):
		return fmt.Sprintf("it does not take the client certificate (%v): NATS_CERT has to be of an authority that the server knows", err), true
	case strings.Contains(text, "after tls handshake") && c.cfg.Cert != "":
		return fmt.Sprintf("it does not take the client certificate, or has just ended (%v): NATS_CERT has to be of an authority that the server knows", err), false
	case strings.Contains(text, "after tls handshake"):
		return fmt.Sprintf("it wants a client certificate, or has just ended (%v): NATS_CERT and NATS_KEY have to name one", err), false
	case strings.Contains(text, "connections exceeded"):
		return fmt.Sprintf("it has as many connections as max_connections, its own or the account's, lets it have (%v): raise that, or end others", err), false
	case errors.Is(err, nats.ErrNkeysNotSupported):
		return "it knows no nkeys: NATS_NKEY and NATS_CREDS are for servers that do", true
	case strings.Contains(text, "expired"):
		return fmt.Sprintf("it refuses %s, whose time is over (%v)", c.authMethod(), err), true
	case strings.Contains(text, "authorization violation"), strings.Contains(text, "revoked"), strings.Contains(text, "authentication"):
		return fmt.Sprintf("it refuses %s (%v)", c.authMethod(), err), true
	case errors.As(err, &plain), errors.Is(err, nats.ErrNoInfoReceived), strings.Contains(text, "parse"):
		return fmt.Sprintf("what answers there is no NATS server (%v): is NATS_URL right?", err), true
	case errors.Is(err, nats.ErrTimeout), errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Sprintf("it accepts connections, and says nothing for %v: is it a NATS server, and NATS_URL right?", tryTimeout), false
	case strings.Contains(text, "eof"), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return fmt.Sprintf("it ends the connection at once (%v): is it a NATS server, and NATS_URL right, and does it take more connections (max_connections)?", err), false
	}
	return err.Error(), false
}

func (c *Client) trustSource() string {
	if c.cfg.CA == "" {
		return "this system does"
	}
	return "NATS_CA, " + c.cfg.CA + ", does"
}

// authMethod names the way in which the client authenticates, and never the secret.
func (c *Client) authMethod() string {
	switch {
	case c.cfg.Creds != "":
		return "the credentials in NATS_CREDS, " + c.cfg.Creds
	case c.cfg.NKey != "":
		return "the nkey in NATS_NKEY, " + c.cfg.NKey
	case c.cfg.User != "":
		return fmt.Sprintf("user %q with the password in NATS_PASSWORD", c.cfg.User)
	case c.cfg.Token != "":
		return "the token in NATS_TOKEN"
	case strings.Contains(c.cfg.URL, "@"):
		return "the user in NATS_URL"
	case c.cfg.Cert != "":
		return "the client certificate in NATS_CERT, and nothing else says who this is"
	}
	return "who does not say who it is: set NATS_CREDS, NATS_NKEY, NATS_USER and NATS_PASSWORD, or NATS_TOKEN"
}
