// Command permessage is a consumer as nats.go's documentation shows it: one message, one
// transaction, one acknowledgement, in each partition.
package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"accountexport/bench/peers/internal/document"
	"accountexport/bench/peers/internal/partitions"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	if err := run(ctx, log); err != nil {
		log.Error(err.Error())
		os.Exit(1)
	}
}

func run(ctx context.Context, log *slog.Logger) error {
	store, err := document.Open(ctx, os.Getenv("DATABASE_URL"), log)
	if err != nil {
		return err
	}
	defer store.Close()
	nc, err := nats.Connect(os.Getenv("NATS_URL"))
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	consumers, err := partitions.Consumers(ctx, js, "permessage")
	if err != nil {
		return err
	}
	var all sync.WaitGroup
	for _, c := range consumers {
		consuming, err := c.Consume(func(m jetstream.Msg) { handle(ctx, store, log, m) }, jetstream.PullMaxMessages(partitions.Prefetch))
		if err != nil {
			return err
		}
		all.Go(func() {
			<-ctx.Done()
			consuming.Stop()
			<-consuming.Closed()
		})
	}
	all.Wait()
	return nil
}

// handle applies a message until it succeeds, and acknowledges it. What comes behind it
// in the partition waits, or it would overtake.
func handle(ctx context.Context, store *document.Store, log *slog.Logger, m jetstream.Msg) {
	meta, err := m.Metadata()
	if err != nil {
		log.Error("a message that is not JetStream's", "error", err)
		return
	}
	for wait := 100 * time.Millisecond; ctx.Err() == nil; wait = min(2*wait, 5*time.Second) {
		err := store.Handle(ctx, m.Subject(), m.Data(), meta.Sequence.Stream)
		if err == nil {
			if err := m.Ack(); err != nil {
				log.Warn("not acknowledged, so it will come again", "error", err)
			}
			return
		}
		if ctx.Err() != nil {
			return
		}
		log.Warn("will be tried again", "error", err)
		_ = m.InProgress() // where it is lost, the message comes again
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}
