// Command watermill does what permessage does by a router of Watermill, with a handler
// for each partition.
package main

import (
	"context"
	"log/slog"
	"math"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	wjetstream "github.com/ThreeDotsLabs/watermill-nats/v2/pkg/jetstream"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"accountexport/bench/peers/internal/document"
	"accountexport/bench/peers/internal/partitions"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
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
	consumers, err := partitions.Consumers(ctx, js, "watermill")
	if err != nil {
		return err
	}
	logger := watermill.NewSlogLogger(log)
	subscriber, err := wjetstream.NewSubscriber(wjetstream.SubscriberConfig{
		Conn:   nc,
		Logger: logger,
		ResourceInitializer: func(_ context.Context, _ jetstream.JetStream, topic string) (jetstream.Consumer, func(context.Context, watermill.LoggerAdapter), error) {
			p, err := strconv.Atoi(topic)
			if err != nil {
				return nil, nil, err
			}
			return consumers[p], nil, nil
		},
		// Watermill's clock of a message begins with its handler, the server's when it is
		// sent: few are to wait in between.
		ConsumeOptions: []jetstream.PullConsumeOpt{jetstream.PullMaxMessages(partitions.Prefetch)},
		// An acknowledgement that is lost lets the message come again, which the row's
		// position finds: there is nothing to wait for.
		AckAsync:    true,
		Unmarshaler: origin{},
	})
	if err != nil {
		return err
	}
	router, err := message.NewRouter(message.RouterConfig{}, logger)
	if err != nil {
		return err
	}
	// A message is retried where it is: one that is given back would come behind later
	// ones of its account.
	router.AddMiddleware(middleware.Recoverer, middleware.Retry{MaxRetries: math.MaxInt, InitialInterval: 100 * time.Millisecond,
		MaxInterval: 5 * time.Second, Multiplier: 2, Logger: logger}.Middleware)
	for p := range consumers {
		topic := strconv.Itoa(p)
		router.AddConsumerHandler("export-"+topic, topic, subscriber, func(m *message.Message) error {
			position, err := strconv.ParseUint(m.Metadata.Get("position"), 10, 64)
			if err != nil {
				return err
			}
			return store.Handle(m.Context(), m.Metadata.Get("subject"), m.Payload, position)
		})
	}
	return router.Run(ctx)
}

// origin keeps what Watermill's own unmarshaler leaves out: a message's subject and
// position.
type origin struct{ wjetstream.DefaultUnmarshaler }

func (o origin) Unmarshal(m jetstream.Msg) (*message.Message, error) {
	w, err := o.DefaultUnmarshaler.Unmarshal(m)
	if err != nil {
		return nil, err
	}
	meta, err := m.Metadata()
	if err != nil {
		return nil, err
	}
	w.Metadata.Set("subject", m.Subject())
	w.Metadata.Set("position", strconv.FormatUint(meta.Sequence.Stream, 10))
	return w, nil
}
