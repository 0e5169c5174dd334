package stream

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// consumer makes what a reader reads through. What it does not ask for, the
// server fills in from its limits; a stream whose inactive_threshold is lower
// than what is asked for has its own.
func (c *Client) consumer(ctx context.Context, after uint64, filters []string) (cons jetstream.Consumer, err error) {
	cfg := jetstream.ConsumerConfig{
		Description:       c.description(),
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       after + 1,
		AckPolicy:         jetstream.AckNonePolicy,
		FilterSubjects:    filters,
		MemoryStorage:     true,
		Replicas:          1,
		InactiveThreshold: inactiveAfter,
	}
	create := func(ctx context.Context) (err error) {
		cons, err = c.js.CreateConsumer(ctx, c.cfg.Stream, cfg)
		return err
	}
	subject := c.prefix + "CONSUMER.CREATE." + c.cfg.Stream + "."
	err = c.withPermissionCheck(ctx, subject, create)
	if refused := (*jetstream.APIError)(nil); errors.As(err, &refused) && refused.ErrorCode == errInactiveThreshold {
		cfg.InactiveThreshold = 0 // the stream's
		err = c.withPermissionCheck(ctx, subject, create)
		if err == nil && cons.CachedInfo().Config.InactiveThreshold < leastInactive {
			c.drop(cons.CachedInfo().Name)
			return nil, tooShort(cons.CachedInfo().Config.InactiveThreshold)
		}
	}
	return cons, err
}

// description says to whoever lists consumers who has made one.
func (c *Client) description() string {
	name := c.cfg.Name
	if name == "" {
		name = "accountexport"
	}
	return "Reads the stream for " + name + "; gone by itself when it is done with"
}

// checkConsumerDelete asks once whether consumers may be removed again, of one that is not
// there: where they may not, each reading would leave one behind, and the server
// tells nobody in particular.
func (c *Client) checkConsumerDelete(ctx context.Context) error {
	if _, known := c.consumerDelete.Load(c.cfg.Stream); known {
		return nil
	}
	subject := "CONSUMER.DELETE." + c.cfg.Stream + "."
	err := c.withPermissionCheck(ctx, c.prefix+subject, func(ctx context.Context) error {
		return c.api(ctx, subject+"accountexport-may-it-be-removed", nil, nil)
	})
	if refused := (*jetstream.APIError)(nil); errors.As(err, &refused) && !errors.Is(err, ErrNoJetStream) {
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			return err
		}
		err = nil
	}
	if errors.Is(err, ErrPermission) {
		return fmt.Errorf("remove consumers that are done with: %w", err)
	}
	if err == nil {
		c.consumerDelete.Store(c.cfg.Stream, true)
	}
	return err
}

// drop removes a consumer, unless it is gone already. Nothing is waited for.
func (c *Client) drop(consumer string) {
	_ = c.nc.Publish(c.prefix+"CONSUMER.DELETE."+c.cfg.Stream+"."+consumer, nil)
}

// pullSubject is how the subjects begin on which the server is asked for messages.
func (c *Client) pullSubject() string { return c.prefix + "CONSUMER.MSG.NEXT." + c.cfg.Stream + "." }
