package stream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go/jetstream"

	"accountexport/events"
	"accountexport/internal/local/natsserver"
)

// TestLimitsAreTakenFromTheServer: whatever the server limits, a stream is created,
// written and read completely and in order, and no request asks for more than the
// limit.
func TestLimitsAreTakenFromTheServer(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, server, account string // jetstream blocks of the configuration
		stream                func(*jetstream.StreamConfig)
		// consumer checks the configuration of a reader's consumer.
		consumer func(jetstream.ConsumerConfig) bool
	}{
		{"max_request_batch 1", `limits { max_request_batch: 1 }`, "", nil, func(c jetstream.ConsumerConfig) bool { return c.MaxRequestBatch == 1 }},
		{"max_request_batch 100", `limits { max_request_batch: 100 }`, "", nil, func(c jetstream.ConsumerConfig) bool { return c.MaxRequestBatch == 100 }},
		{"max_request_batch beyond what is asked for", `limits { max_request_batch: 100000 }`, "", nil, func(c jetstream.ConsumerConfig) bool { return c.MaxRequestBatch == 100000 }},
		{"max_ack_pending", `limits { max_ack_pending: 1 }`, `max_ack_pending: 1`, nil, nil},
		{"duplicate_window", `limits { duplicate_window: "1s" }`, "", nil, nil},
		{"consumer_limits, inactive_threshold", "", "", func(c *jetstream.StreamConfig) { c.ConsumerLimits.InactiveThreshold = 10 * time.Second },
			func(c jetstream.ConsumerConfig) bool { return c.InactiveThreshold == 10*time.Second }},
		{"consumer_limits, the least inactive_threshold", "", "", func(c *jetstream.StreamConfig) { c.ConsumerLimits.InactiveThreshold = minInactiveThreshold },
			func(c jetstream.ConsumerConfig) bool { return c.InactiveThreshold == minInactiveThreshold }},
		{"consumer_limits, max_ack_pending", "", "", func(c *jetstream.StreamConfig) { c.ConsumerLimits.MaxAckPending = 1 },
			func(c jetstream.ConsumerConfig) bool { return c.MaxAckPending == 1 }},
		{"consumer_limits beyond what is asked for", "", "", func(c *jetstream.StreamConfig) { c.ConsumerLimits.InactiveThreshold = time.Hour },
			func(c jetstream.ConsumerConfig) bool { return c.InactiveThreshold == inactiveThreshold }},
		{"no memory for the account", "", `max_mem: 0`, nil, nil},
		{"max_consumers with room", `limits { default_max_consumers: 2 }`, `max_consumers: 2`, nil, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			ctx := deadline(t)
			c := clientWithLimits(t, tc.server, tc.account)
			createStream(ctx, t, c, tc.stream)
			if _, err := c.Provision(ctx); err != nil {
				t.Fatal(err)
			}
			const n = 2000
			publishNotes(ctx, t, c, 1, n)
			r := open(ctx, t, c, 0)
			all := readUpTo(ctx, t, r, n)
			publishNotes(ctx, t, c, n+1, 2*n) // while the reader waits for more
			if all = append(all, readUpTo(ctx, t, r, 2*n)...); len(all) != 2*n {
				t.Errorf("read %d messages", len(all))
			}
			those := consumers(t, c)
			if len(those) != 1 || tc.consumer != nil && !tc.consumer(those[0]) {
				t.Errorf("consumers are %+v", those)
			}
		})
	}
}

// TestLimitsOfAConsumer: pull requests ask for as many messages and bytes, and as
// much time, as the consumer allows. A message too large for any request ends the
// reader with an error that says so.
func TestLimitsOfAConsumer(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	c, _ := provisioned(t)
	const n = 3000
	publishNotes(ctx, t, c, 1, n)
	read := func(limits jetstream.ConsumerConfig) *reader {
		t.Helper()
		limits.DeliverPolicy, limits.AckPolicy = jetstream.DeliverAllPolicy, jetstream.AckNonePolicy
		cons, err := c.js.CreateConsumer(ctx, "CONTROL_PLANE", limits)
		if err != nil {
			t.Fatal(err)
		}
		r, err := c.readFrom(cons.CachedInfo(), 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(r.Close)
		return r
	}
	for _, limits := range []jetstream.ConsumerConfig{
		{MaxRequestBatch: 7},
		{MaxRequestMaxBytes: 10_000},
		{MaxRequestExpires: 300 * time.Millisecond},
		{MaxRequestBatch: 100, MaxRequestMaxBytes: 5000, MaxRequestExpires: time.Second},
	} {
		r := read(limits)
		if all := readUpTo(ctx, t, r, n); len(all) != n {
			t.Errorf("%+v: read %d messages", limits, len(all))
		}
		// Requests that expire are replaced, which the caller does not see.
		waiting, cancel := context.WithTimeout(ctx, 3*limits.MaxRequestExpires)
		if _, err := r.Next(waiting, nil, bound); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%+v: waiting ended with %v", limits, err)
		}
		cancel()
	}
	if _, err := c.PublishRaw(ctx, events.Message{Subject: note(1).Subject, Data: repeat(50_000)}); err != nil {
		t.Fatal(err)
	}
	r := read(jetstream.ConsumerConfig{MaxRequestMaxBytes: 10_000})
	for {
		if _, err := r.Next(ctx, nil, bound); err != nil {
			if !errors.Is(err, ErrConsumerGone) || !strings.Contains(err.Error(), "larger than max_bytes of the consumer, 10000") {
				t.Error(err)
			}
			break
		}
	}
}

// TestLimitsThatLeaveNoRoom: such limits are refused at once by Provision and by
// reading, and the error names the limit and what would be right.
func TestLimitsThatLeaveNoRoom(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, server, account string
		stream                func(*jetstream.StreamConfig)
		says                  string
	}{
		{"max_bytes_required", "", "max_bytes_required: true", nil, "max_bytes_required"},
		{"max_streams", "", "max_streams: 1", func(c *jetstream.StreamConfig) {
			c.Name, c.Subjects, c.SubjectTransform = "OTHER", []string{"other"}, nil
		}, "max_streams"},
		{"max_file", "", "max_file: 0", nil, "max_file"},
		{"max_consumers of the stream", "", "", func(c *jetstream.StreamConfig) { c.MaxConsumers = 1 }, "max_consumers"},
		{"max_consumers of the account", "", "max_consumers: 1", func(*jetstream.StreamConfig) {}, "max_consumers"},
		{"default_max_consumers", "limits { default_max_consumers: 1 }", "", func(*jetstream.StreamConfig) {}, "default_max_consumers"},
		{"inactive_threshold", "", "", func(c *jetstream.StreamConfig) { c.ConsumerLimits.InactiveThreshold = 100 * time.Millisecond }, "consumer_limits have inactive_threshold 100ms"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			ctx := deadline(t)
			c := clientWithLimits(t, tc.server, tc.account)
			createStream(ctx, t, c, tc.stream)
			if strings.Contains(tc.says, "max_consumers") { // another program's consumer
				if _, err := c.js.CreateConsumer(ctx, "CONTROL_PLANE", jetstream.ConsumerConfig{Durable: "other", AckPolicy: jetstream.AckExplicitPolicy}); err != nil {
					t.Fatal(err)
				}
			}
			_, provisioning := c.Provision(ctx)
			if provisioning == nil {
				provisioning = c.CanRead(ctx)
			}
			if provisioning == nil || !strings.Contains(provisioning.Error(), tc.says) {
				t.Errorf("provisioning: %v; want %q in it", provisioning, tc.says)
			}
			if strings.Contains(tc.says, "max_consumers") != errors.Is(provisioning, ErrMaxConsumers) {
				t.Errorf("%v is ErrMaxConsumers, or is not", provisioning)
			}
			if _, err := c.Info(ctx); err != nil {
				return // there is no stream
			}
			if _, err := c.Open(ctx, 0); err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("reading: %v; want %q in it", err, tc.says)
			}
			for ctx.Err() == nil && slices.ContainsFunc(consumers(t, c), func(c jetstream.ConsumerConfig) bool { return c.Durable == "" }) {
				time.Sleep(10 * time.Millisecond) // the consumer is deleted without an answer
			}
			if ctx.Err() != nil {
				t.Error("a consumer was left behind")
			}
		})
	}
}

// TestLimitReachedByPublishing: the error of each message that does not fit says that
// the account is full.
func TestLimitReachedByPublishing(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	c := clientWithLimits(t, "", "max_file: 2MB")
	if _, err := c.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if _, err := c.PublishRaw(ctx, events.Message{Subject: note(1).Subject, Data: repeat(500_000)}); err != nil {
			if !strings.Contains(err.Error(), "the account's max_file is used up") {
				t.Error(err)
			}
			return
		}
	}
	t.Error("more was taken than may be")
}

// TestLimitsByTiers: an account that may only have streams of three replicas is told
// so when one replica is requested.
func TestLimitsByTiers(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	creds, config := natsserver.CredsForTest(t, func(a *jwt.AccountClaims) {
		tier := a.Limits.JetStreamLimits
		a.Limits.JetStreamLimits, a.Limits.JetStreamTieredLimits = jwt.JetStreamLimits{}, jwt.JetStreamTieredLimits{"R3": tier}
	})
	c, err := Connect(ctx, Config{URL: natsserver.ForTestWith(t, config).URL(), Creds: creds, ConnectTimeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if _, err := c.Provision(ctx); err == nil || !strings.Contains(err.Error(), "other numbers of replicas") {
		t.Errorf("provisioning: %v", err)
	}
}

// TestConsumersSayWhoMadeThem: a consumer's description names the program that
// created it.
func TestConsumersSayWhoMadeThem(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	srv := natsserver.ForTest(t)
	c, err := Connect(ctx, Config{URL: srv.URL(), Name: "accountexport projector run"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if _, err := c.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	open(ctx, t, c, 0)
	if those := consumers(t, c); len(those) != 1 || !strings.Contains(those[0].Description, "accountexport projector run") {
		t.Errorf("consumers are %+v", those)
	}
}

// clientWithLimits returns a client of an account on a server of its own, with these
// JetStream limits for each.
func clientWithLimits(t *testing.T, server, account string) *Client {
	t.Helper()
	if account == "" {
		account = "max_streams: -1"
	}
	srv := natsserver.ForTestWith(t, fmt.Sprintf("jetstream { enabled: true, %s }\naccounts { A { jetstream { %s }, users: [ { user: u, password: p } ] } }", server, account))
	c, err := Connect(deadline(t), Config{URL: srv.URL(), User: "u", Password: "p", Name: t.Name()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// createStream creates the stream as Provision would, but for the change; without a
// change it creates none.
func createStream(ctx context.Context, t *testing.T, c *Client, change func(*jetstream.StreamConfig)) {
	t.Helper()
	if change == nil {
		return
	}
	cfg := wanted("CONTROL_PLANE")
	change(&cfg)
	if _, err := c.js.CreateStream(ctx, cfg); err != nil {
		t.Fatal(err)
	}
}

func consumers(t *testing.T, c *Client) (all []jetstream.ConsumerConfig) {
	t.Helper()
	ctx := deadline(t)
	s, err := c.js.Stream(ctx, c.cfg.Stream)
	if err != nil {
		t.Fatal(err)
	}
	list := s.ListConsumers(ctx)
	for info := range list.Info() {
		all = append(all, info.Config)
	}
	if list.Err() != nil {
		t.Fatal(list.Err())
	}
	return all
}
