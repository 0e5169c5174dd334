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

// ErrNoJetStream means that there is no JetStream where it is asked for.
var ErrNoJetStream = errors.New("there is no JetStream")

// What a server says that has no JetStream, or none for the account.
const (
	errNoJetStream        jetstream.ErrorCode = 10076
	errNoJetStreamAccount jetstream.ErrorCode = 10039
)

// available explains where JetStream is off, or elsewhere; other errors stay.
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

// request sends a message and waits for the answer, no longer than a request may
// take; [ErrPermission] where it is refused.
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

// api asks JetStream; answer may be nil. What it refuses is a
// [jetstream.APIError].
func (c *Client) api(ctx context.Context, subject string, question, answer any) error {
	m := &nats.Msg{Subject: c.prefix + subject}
	if question != nil {
		var err error
		if m.Data, err = json.Marshal(question); err != nil {
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
