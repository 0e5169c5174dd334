package stream

import (
	"context"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"accountexport/events"
	"accountexport/projections"
	"accountexport/projections/engine"
)

// BenchmarkRead reads a stream of 300-byte messages from its start, on one
// connection: with this package's reader, and, as the baseline, with the client
// library's consumers and nothing done to a message.
func BenchmarkRead(b *testing.B) {
	const n = 300_000
	ctx := context.Background()
	c, _ := provisioned(b)
	i := 0
	if _, err := c.PublishAll(ctx, func() (events.Message, bool) {
		i++
		return events.Message{Subject: events.AccountSubject(account(i % 5000)),
			Header: map[string][]string{"Content-Type": {"application/cloudevents+json"}}, Data: repeat(300)}, i <= n
	}); err != nil {
		b.Fatal(err)
	}
	consume := func(cons jetstream.Consumer) error {
		done, read := make(chan struct{}), 0
		cc, err := cons.Consume(func(jetstream.Msg) {
			if read++; read == n {
				close(done)
			}
		}, jetstream.PullMaxMessages(32_768))
		if err != nil {
			return err
		}
		<-done
		cc.Stop()
		return nil
	}
	for _, way := range []struct {
		name string
		read func() error
	}{
		{"raw", func() error {
			cons, err := c.js.CreateConsumer(ctx, c.cfg.Stream, jetstream.ConsumerConfig{AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true})
			if err != nil {
				return err
			}
			return consume(cons)
		}},
		{"ordered", func() error {
			cons, err := c.js.OrderedConsumer(ctx, c.cfg.Stream, jetstream.OrderedConsumerConfig{})
			if err != nil {
				return err
			}
			return consume(cons)
		}},
		{"reader", func() error {
			r, err := c.Open(ctx, 0)
			if err != nil {
				return err
			}
			defer r.Close()
			var buf []projections.Message
			for read := 0; read < n; read += len(buf) {
				if buf, err = r.Next(ctx, buf[:0], engine.Bound{Events: 4096, Bytes: 4 << 20}); err != nil {
					return err
				}
			}
			return nil
		}},
	} {
		b.Run(way.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := way.read(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}

// BenchmarkReadAccount reads one account of 20 messages out of 300,000.
func BenchmarkReadAccount(b *testing.B) {
	ctx := context.Background()
	c, _ := provisioned(b)
	i := 0
	if _, err := c.PublishAll(ctx, func() (events.Message, bool) {
		i++
		return events.Message{Subject: events.AccountSubject(account(i % 15_000)), Data: repeat(300)}, i <= 300_000
	}); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		read := 0
		if err := c.ReadAccount(ctx, account(7), 0, func(projections.Message) error { read++; return nil }); err != nil {
			b.Fatal(err)
		}
		if read != 20 {
			b.Fatalf("read %d messages, want 20", read)
		}
	}
}
