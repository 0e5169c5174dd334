package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"accountexport/events"
)

// CanErase says all that would keep an account from being erased from the
// stream: its configuration, what the NATS user may not do, and that it cannot
// be read. It changes nothing.
func (c *Client) CanErase(ctx context.Context, account events.UUID) (missing []error) {
	missing = c.CanPurge(ctx)
	if err := c.canPublish(ctx, events.AccountSubject(account)); err != nil {
		missing = append(missing, err)
	}
	return missing
}

// CanPurge says all that would keep messages from being found in the stream
// and removed from it.
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
	// A subject that no message is on, and up to a position before which there is
	// none: each by itself purges nothing.
	nothing := struct {
		Filter string `json:"filter"`
		Before uint64 `json:"seq"`
	}{"accountexport.is.purging.permitted", 1}
	if err := c.api(ctx, "STREAM.PURGE."+c.cfg.Stream, nothing, nil); err != nil {
		missing = append(missing, fmt.Errorf("purge stream %s: %w", c.cfg.Stream, err))
	}
	// A position that is not given out in any stream's life.
	err = c.api(ctx, "STREAM.MSG.DELETE."+c.cfg.Stream, deleteRequest{math.MaxInt64}, nil)
	if refused := (*jetstream.APIError)(nil); err != nil && !errors.As(err, &refused) {
		missing = append(missing, fmt.Errorf("remove messages from stream %s: %w", c.cfg.Stream, err))
	}
	if err := c.CanRead(ctx); err != nil {
		missing = append(missing, err)
	}
	return missing
}

// CanRead does once whatever reading takes, beyond the end of any stream, and says
// what keeps the stream from being read: permissions, and limits of stream,
// account and server. Where that is [ErrMaxConsumers] it may be only now. It
// changes nothing.
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
	now := []byte(`{"batch":1,"no_wait":true}`) // which says that there is none
	err = c.withPermissionCheck(limit, c.pullSubject(), func(limit context.Context) error {
		_, err := c.nc.RequestWithContext(limit, c.pullSubject()+cons.CachedInfo().Name, now)
		return err
	})
	if c.onTimeout(ctx, limit, err) != nil {
		return failed(err)
	}
	return nil
}

// canPublish publishes what the server has to refuse, since it is for another
// stream.
func (c *Client) canPublish(ctx context.Context, subject string) error {
	answer, err := c.request(ctx, &nats.Msg{Subject: subject, Header: nats.Header{"Nats-Expected-Stream": {"not " + c.cfg.Stream}}})
	if errors.Is(err, nats.ErrNoResponders) {
		return fmt.Errorf("publish on %s: no stream takes it", subject)
	}
	if err != nil {
		return fmt.Errorf("publish on %s: %w", subject, err)
	}
	var ack struct {
		Stream string              `json:"stream"` // that takes the subject
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
