package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ErrNoJetStream means that no JetStream answers where requests are sent.
var ErrNoJetStream = errors.New("there is no JetStream")

// Error codes of a server without JetStream, and of one where the account has none.
const (
	errNoJetStream        jetstream.ErrorCode = 10076
	errNoJetStreamAccount jetstream.ErrorCode = 10039
)

// available explains errors that mean that JetStream is off or is elsewhere; other
// errors are returned unchanged.
func (c *Client) available(subject string, err error) error {
	refused := (*jetstream.APIError)(nil)
	switch {
	case errors.Is(err, nats.ErrNoResponders) && strings.HasPrefix(subject, c.prefix):
		why := "JetStream is off on this server, or begins only now, or is in a domain that NATS_JS_DOMAIN has to name"
		switch {
		case c.cfg.Domain != "":
			why = fmt.Sprintf("is NATS_JS_DOMAIN, %s, right, JetStream on there, and that server connected with this one?", c.cfg.Domain)
		case c.cfg.Prefix != "":
			why = fmt.Sprintf("is NATS_JS_PREFIX, %s, right, and imported by this account?", c.cfg.Prefix)
		}
		return fmt.Errorf("%w: nobody answers on %s: %s", ErrNoJetStream, subject, why)
	case errors.As(err, &refused) && refused.ErrorCode == errNoJetStreamAccount:
		return fmt.Errorf("%w for the account of this user, on a server that has it: %w: enable it for the account, or connect as a user of one that has it",
			ErrNoJetStream, err)
	case errors.As(err, &refused) && refused.ErrorCode == errNoJetStream:
		return fmt.Errorf("%w: it is off on this server: %w", ErrNoJetStream, err)
	}
	return err
}

// request sends a message and waits for the answer, at most for requestTimeout. The
// error is [ErrPermission] where the server refuses the publish or the inbox.
func (c *Client) request(ctx context.Context, m *nats.Msg) (*nats.Msg, error) {
	limit, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	var answer *nats.Msg
	err := c.withPermissionCheck(limit, m.Subject, func(limit context.Context) (err error) {
		answer, err = c.nc.RequestMsgWithContext(limit, m)
		return err
	})
	if errors.Is(err, ErrPermission) || errors.Is(err, ErrNoJetStream) {
		return nil, err
	}
	if c.onTimeout(ctx, limit, err) != nil {
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			err = fmt.Errorf("no answer on %s within %v", m.Subject, requestTimeout)
		}
		return nil, err
	}
	return answer, nil
}

// api sends a request to JetStream's API and decodes the answer, unless answer is
// nil. A refusal by the server is a [jetstream.APIError].
func (c *Client) api(ctx context.Context, subject string, request, answer any) error {
	m := &nats.Msg{Subject: c.prefix + subject}
	if request != nil {
		var err error
		if m.Data, err = json.Marshal(request); err != nil {
			return err
		}
	}
	msg, err := c.request(ctx, m)
	if err != nil {
		return err
	}
	var refusal struct {
		Error *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(msg.Data, &refusal); err != nil {
		return fmt.Errorf("answer of the server on %s: %w", subject, err)
	}
	if refusal.Error != nil {
		return c.available(m.Subject, refusal.Error)
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(msg.Data, answer); err != nil {
		return fmt.Errorf("answer of the server on %s: %w", subject, err)
	}
	return nil
}
