package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"accountexport/events"
)

// CanErase returns everything that would keep an account from being erased from the
// stream: the stream's configuration, permissions that the NATS user lacks, and why
// the stream cannot be read. It changes nothing.
func (c *Client) CanErase(ctx context.Context, account events.UUID) (missing []error) {
	missing = c.CanPurge(ctx)
	if err := c.canPublish(ctx, events.AccountSubject(account)); err != nil {
		missing = append(missing, err)
	}
	return missing
}

// CanPurge returns everything that would keep messages from being found in the stream
// and removed from it. It changes nothing.
func (c *Client) CanPurge(ctx context.Context) (missing []error) {
	info, err := c.stream(ctx)
	if err != nil {
		return []error{c.explain(err)}
	}
	cfg := info.Config
	for _, denied := range []struct {
		is   bool
		what string
	}{
		{cfg.Sealed, "is sealed, for ever: its messages cannot be removed"},
		{cfg.DenyPurge, "has deny_purge, for ever: a stream without it has to take its place"},
		{cfg.DenyDelete, "has deny_delete, for ever: a stream without it has to take its place"},
	} {
		if denied.is {
			missing = append(missing, fmt.Errorf("stream %s %s", c.cfg.Stream, denied.what))
		}
	}
	if len(missing) > 0 {
		return missing
	}
	// The subject carries no message, and no message lies before position 1. Either of
	// the two alone already makes the purge remove nothing.
	nothing := struct {
		Filter string `json:"filter"`
		Before uint64 `json:"seq"`
	}{"accountexport.is.purging.permitted", 1}
	if err := c.api(ctx, "STREAM.PURGE."+c.cfg.Stream, nothing, nil); err != nil {
		missing = append(missing, fmt.Errorf("purge stream %s: %w", c.cfg.Stream, err))
	}
	// No stream lives long enough to assign this position.
	err = c.api(ctx, "STREAM.MSG.DELETE."+c.cfg.Stream, deleteRequest{math.MaxInt64}, nil)
	if refused := (*jetstream.APIError)(nil); err != nil && !errors.As(err, &refused) {
		missing = append(missing, fmt.Errorf("remove messages from stream %s: %w", c.cfg.Stream, err))
	}
	if err := c.CanRead(ctx); err != nil {
		missing = append(missing, err)
	}
	return missing
}

// CanRead performs every operation that reading needs once, beyond the end of any
// stream, and returns the first one that fails: for lack of a permission, or because
// of a limit of the stream, the account or the server. [ErrMaxConsumers] may pass;
// the others stay until somebody changes a setting. It changes nothing.
func (c *Client) CanRead(ctx context.Context) error {
	failed := func(err error) error { return fmt.Errorf("read stream %s: %w", c.cfg.Stream, err) }
	if _, err := c.stream(ctx); err != nil {
		return c.explain(err)
	}
	const beyond = math.MaxInt64 - 1
	if _, err := c.get(ctx, getRequest{Seq: beyond}); err != nil && !errors.Is(err, ErrNoMessage) {
		return failed(err)
	}
	if err := c.checkConsumerDelete(ctx); err != nil {
		return failed(err)
	}
	limit, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	cons, err := c.consumer(limit, beyond, nil)
	if c.onTimeout(ctx, limit, err) != nil {
		return failed(limited(err))
	}
	defer c.drop(cons.CachedInfo().Name)
	now := []byte(`{"batch":1,"no_wait":true}`) // the server answers that there is none
	err = c.withPermissionCheck(limit, c.pullSubject(), func(limit context.Context) error {
		for until := time.Now().Add(requestTimeout / 2); ; {
			_, err := c.nc.RequestWithContext(limit, c.pullSubject()+cons.CachedInfo().Name, now)
			if !errors.Is(err, nats.ErrNoResponders) || time.Now().After(until) {
				return err
			}
			time.Sleep(100 * time.Millisecond) // this server may not have heard yet of what another one has made
		}
	})
	if c.onTimeout(ctx, limit, err) != nil {
		return failed(err)
	}
	return nil
}

// canPublish tests the permission with a message that the server has to reject, since
// it is addressed to another stream.
func (c *Client) canPublish(ctx context.Context, subject string) error {
	answer, err := c.request(ctx, &nats.Msg{Subject: subject, Header: nats.Header{"Nats-Expected-Stream": {"not " + c.cfg.Stream}}})
	if errors.Is(err, nats.ErrNoResponders) {
		return fmt.Errorf("publish on %s: no stream takes it", subject)
	}
	if err != nil {
		return fmt.Errorf("publish on %s: %w", subject, err)
	}
	var ack struct {
		Stream string              `json:"stream"` // the one that takes the subject
		Error  *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(answer.Data, &ack); err != nil {
		return fmt.Errorf("publish on %s: answer of the server: %w", subject, err)
	}
	const errOtherStream jetstream.ErrorCode = 10060
	if ack.Error == nil || ack.Error.ErrorCode != errOtherStream {
		return fmt.Errorf("publish on %s: the server answers %s", subject, answer.Data)
	}
	if ack.Stream != "" && ack.Stream != c.cfg.Stream {
		return fmt.Errorf("publish on %s: stream %s takes it, and not stream %s", subject, ack.Stream, c.cfg.Stream)
	}
	return nil
}
