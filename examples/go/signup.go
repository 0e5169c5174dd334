package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/propagation"

	"accountexport/events"
)

// source says which program an event is from. An event's id is unique within it.
const source = "/example/control-plane"

// controlPlane publishes what it does to JetStream. It is safe for concurrent use.
type controlPlane struct {
	js jetstream.JetStream
}

// defineTier publishes a quota tier, which all accounts share.
func (c controlPlane) defineTier(ctx context.Context, tier events.QuotaTierDefined) (position uint64, err error) {
	return c.publish(ctx)(events.NewQuotaTierDefined(events.NewMeta(source), tier))
}

// signUp publishes a new account: its user and its team. It returns the position of the
// last event: whoever asks for an export with that as min_position finds the account.
func (c controlPlane) signUp(ctx context.Context, account events.UUID, email, tier string) (position uint64, err error) {
	// The team is published once the user is acknowledged, so they are in this order in
	// the stream.
	if _, err = c.publish(ctx)(events.NewUserRegistered(events.NewMeta(source), account,
		events.UserRegistered{Email: email, Tier: tier, QuotaTierID: tier})); err != nil {
		return 0, err
	}
	return c.publish(ctx)(events.NewTeamCreated(events.NewMeta(source), account,
		events.TeamCreated{ID: events.NewUUID(), Name: email + "'s team", Slug: "team-" + account.String()[:8], QuotaTierID: tier}))
}

// passTraceOn has a message name the trace that ctx is part of, if it is part of one: the
// projector links to it the batch that the event is written in. Names of headers keep
// their case in NATS, and this one is in lower case.
func passTraceOn(ctx context.Context, header nats.Header) {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	for name, value := range carrier {
		header[name] = []string{value}
	}
}

// publish takes what a constructor returns, and publishes it until it is acknowledged or
// refused. Where an acknowledgement does not come, nobody knows whether the stream has
// the message: it is published again with the same id, and JetStream drops the second.
func (c controlPlane) publish(ctx context.Context) func(events.Message, error) (position uint64, err error) {
	return func(m events.Message, err error) (uint64, error) {
		if err != nil {
			return 0, err // the projector would have parked it
		}
		msg := &nats.Msg{Subject: m.Subject, Header: m.NATSHeader(), Data: m.Data}
		passTraceOn(ctx, msg.Header)
		for {
			once, cancel := context.WithTimeout(ctx, 2*time.Second)
			ack, err := c.js.PublishMsg(once, msg)
			cancel()
			var refused *jetstream.APIError
			switch {
			case err == nil:
				return ack.Sequence, nil
			case errors.As(err, &refused) || ctx.Err() != nil:
				return 0, fmt.Errorf("publish on %s: %w", m.Subject, err)
			}
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
		}
	}
}
