// Command batches reads the stream in order, and writes up to 500 messages at a time to
// six tables, with the checkpoint, in one transaction: each message counts exactly once.
package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"accountexport/bench/peers/internal/event"
	"accountexport/bench/peers/internal/normalised"
	"accountexport/bench/peers/internal/partitions"
)

const most = 500 // messages of a transaction

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	if err := run(ctx, log); err != nil && ctx.Err() == nil {
		log.Error(err.Error())
		os.Exit(1)
	}
}

func run(ctx context.Context, log *slog.Logger) error {
	pool, err := normalised.Open(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		return err
	}
	defer pool.Close()
	var position uint64
	if err := pool.QueryRow(ctx, `SELECT position FROM checkpoint`).Scan(&position); err != nil {
		return err
	}
	nc, err := nats.Connect(os.Getenv("NATS_URL"))
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	c, err := js.OrderedConsumer(ctx, partitions.Stream, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: position + 1})
	if err != nil {
		return err
	}
	read := make(chan jetstream.Msg, 2*most)
	consuming, err := c.Consume(func(m jetstream.Msg) {
		select {
		case read <- m:
		case <-ctx.Done():
		}
	}, jetstream.PullMaxMessages(4*most))
	if err != nil {
		return err
	}
	defer consuming.Stop()
	for {
		batch, err := next(ctx, read)
		if err == nil {
			err = write(ctx, pool, log, batch)
		}
		if err != nil {
			return err // whoever starts it again lets it go on at the checkpoint
		}
	}
}

// next waits for a message, and takes as many as there are with it.
func next(ctx context.Context, read <-chan jetstream.Msg) (batch []jetstream.Msg, err error) {
	select {
	case m := <-read:
		batch = append(batch, m)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	for len(batch) < most {
		select {
		case m := <-read:
			batch = append(batch, m)
		default:
			return batch, nil
		}
	}
	return batch, nil
}

// write writes a batch and the checkpoint in one transaction.
func write(ctx context.Context, pool *pgxpool.Pool, log *slog.Logger, messages []jetstream.Msg) error {
	var queued []event.Event
	var last uint64
	b := &pgx.Batch{}
	for _, m := range messages {
		meta, err := m.Metadata()
		if err != nil {
			return err
		}
		last = meta.Sequence.Stream
		e, err := event.Parse(m.Subject(), m.Data(), last)
		added := false
		if err == nil {
			added, err = normalised.Queue(b, e)
		}
		if err != nil {
			log.Warn("refused", "position", last, "reason", err.Error())
		} else if added {
			queued = append(queued, e)
		}
	}
	b.Queue(`UPDATE checkpoint SET position = $1`, last)
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		results := tx.SendBatch(ctx, b)
		for _, e := range queued {
			tag, err := results.Exec()
			if err != nil {
				_ = results.Close()
				return err
			}
			if tag.RowsAffected() == 0 && normalised.MustChange(e.Type) {
				log.Warn("refused", "position", e.Position, "reason", e.Type+": what it is of does not exist")
			}
		}
		return results.Close()
	})
}
