package stream

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// consumer creates the ephemeral consumer that a reader pulls from. What the request
// leaves out, the server fills in from its own limits. Where the stream's
// inactive_threshold is lower than the one requested, the consumer is created with
// the stream's.
func (c *Client) consumer(ctx context.Context, after uint64, filters []string) (cons jetstream.Consumer, err error) {
	cfg := jetstream.ConsumerConfig{
		Description:       c.description(),
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       after + 1,
		AckPolicy:         jetstream.AckNonePolicy,
		FilterSubjects:    filters,
		MemoryStorage:     true,
		Replicas:          1,
		InactiveThreshold: inactiveThreshold,
	}
	create := func(ctx context.Context) (err error) {
		cons, err = c.js.CreateConsumer(ctx, c.cfg.Stream, cfg)
		return err
	}
	subject := c.prefix + "CONSUMER.CREATE." + c.cfg.Stream + "."
	err = c.withPermissionCheck(ctx, subject, create)
	if refused := (*jetstream.APIError)(nil); errors.As(err, &refused) && refused.ErrorCode == errInactiveThreshold {
		cfg.InactiveThreshold = 0 // stands for the stream's own
		err = c.withPermissionCheck(ctx, subject, create)
		if err == nil && cons.CachedInfo().Config.InactiveThreshold < minInactiveThreshold {
			c.drop(cons.CachedInfo().Name)
			return nil, inactiveThresholdTooShort(cons.CachedInfo().Config.InactiveThreshold)
		}
	}
	return cons, err
}

// description tells an operator who lists consumers which program created this one.
func (c *Client) description() string {
	name := c.cfg.Name
	if name == "" {
		name = "accountexport"
	}
	return "Reads the stream for " + name + "; gone by itself when it is done with"
}

// checkConsumerDelete finds out, once per client and stream, whether the NATS user
// may delete consumers, by deleting one that does not exist. Without the permission
// each reader would leave a consumer behind, and the server would report the
// violation without naming a request.
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

// drop deletes a consumer if it still exists. It does not wait for the answer: a
// consumer that stays is removed by the server after its inactive_threshold.
func (c *Client) drop(consumer string) {
	_ = c.nc.Publish(c.prefix+"CONSUMER.DELETE."+c.cfg.Stream+"."+consumer, nil)
}

// pullSubject returns the prefix of the subjects on which pull requests are sent.
func (c *Client) pullSubject() string { return c.prefix + "CONSUMER.MSG.NEXT." + c.cfg.Stream + "." }
