package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgx/v5"

	"accountexport/internal/ingest"
	"accountexport/internal/stream"
	"accountexport/projections"
	"accountexport/projections/engine"
)

// Options say how to relay.
type Options struct {
	Database        *pgx.ConnConfig                 // of the outbox, past any pooler of transactions
	Poll            time.Duration                   // how often it looks while nothing wakes it; default 100 ms
	Retry           time.Duration                   // of messages that are refused; default 30 s
	Window          int                             // messages fetched at once; default 4096
	Bytes           int                             // of them, unless it is one; default 16 MiB
	ProgressTimeout time.Duration                   // without any acknowledgement after which it begins anew; default 10 s
	Check           func(ctx context.Context) error // before the outbox is first used; [ErrUnusable] ends the relay; default: none
	Logger          *slog.Logger                    // default: slog.Default()

	// Trace begins the span of what is published together, which ends with how that went.
	// Default: there is none.
	Trace func(ctx context.Context, items []ingest.Item) (_ context.Context, end func(error))

	Metrics *Metrics // default: of no registry
}

// ErrUnusable means that the way to the database is none for a relay.
var ErrUnusable = errors.New("the outbox cannot be relayed so")

// Relay publishes an outbox to a stream.
type Relay struct {
	opt       Options
	checked   bool // by Options.Check
	stream    source
	publisher publisher
	log       *slog.Logger
	metrics   *Metrics
}

// source is the stream that is published to: a [stream.Client].
type source interface {
	Info(ctx context.Context) (engine.StreamInfo, error)
	Get(ctx context.Context, position uint64) (projections.Message, error)
	ReadBetween(ctx context.Context, after, end uint64, each func(projections.Message) error) error
	ConnectCount() uint64
}

// publisher is an [ingest.Publisher].
type publisher interface {
	Publish(ctx context.Context, items []ingest.Item, after uint64, acked func(i int, a ingest.Ack)) error
}

// New makes a relay.
func New(client *stream.Client, opt Options) *Relay {
	if opt.Poll <= 0 {
		opt.Poll = 100 * time.Millisecond
	}
	if opt.Retry <= 0 {
		opt.Retry = 30 * time.Second
	}
	if opt.Window <= 0 {
		opt.Window = 4096
	}
	if opt.Bytes <= 0 {
		opt.Bytes = 16 << 20
	}
	if opt.ProgressTimeout <= 0 {
		opt.ProgressTimeout = 10 * time.Second
	}
	if opt.Trace == nil {
		opt.Trace = func(ctx context.Context, _ []ingest.Item) (context.Context, func(error)) { return ctx, func(error) {} }
	}
	if opt.Logger == nil {
		opt.Logger = slog.Default()
	}
	if opt.Metrics == nil {
		opt.Metrics = newMetrics()
	}
	return &Relay{opt: opt, stream: client, log: opt.Logger, metrics: opt.Metrics,
		publisher: ingest.New(client, ingest.Options{ProgressTimeout: opt.ProgressTimeout, Logger: opt.Logger})}
}

// Run relays until ctx ends, which is no error. Where either server is away it tries
// again for ever. An error means that somebody has to decide: the stream is not the
// one that was published to, or the database has no outbox, or a right is missing at
// start.
func (r *Relay) Run(ctx context.Context) error {
	retry := backoff.NewExponentialBackOff()
	retry.InitialInterval, retry.MaxInterval = 100*time.Millisecond, 5*time.Second
	for {
		before := r.metrics.progressed()
		err := r.session(ctx)
		r.metrics.setActive(false)
		if ctx.Err() != nil {
			return nil
		}
		// What the user or the login may not do is told at start; later it may pass, as it is changed.
		if final(err) || (errors.Is(err, stream.ErrPermission) || errors.Is(err, ErrNoRights)) && r.metrics.progressed().IsZero() {
			return err
		}
		if r.metrics.progressed().After(before) {
			retry.Reset()
		}
		reason, wait := reasonOf(err), retry.NextBackOff()
		r.metrics.restarted(reason)
		r.log.Warn("the relay begins anew", "reason", reason, "in", wait.Round(time.Millisecond), "error", err)
		sleep(ctx, wait)
	}
}

// Reasons of beginning anew.
const (
	reasonDatabase  = "database"
	reasonStream    = "stream"
	reasonTakenOver = "taken_over"
)

// databaseError is of PostgreSQL.
type databaseError struct{ error }

func (e databaseError) Unwrap() error { return e.error }

func ofDatabase(err error) error {
	if err == nil || errors.Is(err, errTakenOver) || errors.Is(err, ErrNoOutbox) || errors.Is(err, ErrUnusable) {
		return err
	}
	return databaseError{fmt.Errorf("outbox: %w", err)}
}

func reasonOf(err error) string {
	database := databaseError{}
	switch {
	case errors.Is(err, errTakenOver):
		return reasonTakenOver
	case errors.As(err, &database):
		return reasonDatabase
	}
	return reasonStream
}

// final tells whether beginning anew does not help.
func final(err error) bool {
	for _, e := range []error{ErrNoOutbox, ErrUnusable, stream.ErrOtherStream, stream.ErrRecreated, engine.ErrStreamBehind, stream.ErrAnotherStream} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// session is from connecting to the database to the first error, or to the end of
// ctx.
func (r *Relay) session(ctx context.Context) error {
	t, end, err := r.open(ctx)
	if err != nil {
		return err
	}
	defer end()
	if err := r.standBy(ctx, t); err != nil {
		return err
	}
	s := &session{Relay: r, t: t}
	if err := s.begin(ctx); err != nil {
		return err
	}
	r.metrics.setActive(true)
	r.log.Info("relaying the outbox", "stream", s.noted.stream.Name, "search_from", s.after)
	return s.run(ctx)
}

// open connects to the database.
func (r *Relay) open(ctx context.Context) (t *table, end func(), err error) {
	limit, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if !r.checked && r.opt.Check != nil {
		if err := r.opt.Check(limit); err != nil {
			return nil, nil, ofDatabase(err)
		}
		r.checked = true
	}
	conn, err := pgx.ConnectConfig(limit, r.opt.Database.Copy())
	if err != nil {
		return nil, nil, ofDatabase(err)
	}
	end = func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(ctx) // which frees the lock
	}
	t = &table{conn: conn}
	if err := t.settle(limit); err != nil {
		end()
		return nil, nil, ofDatabase(err)
	}
	return t, end, nil
}

const connectTimeout = 10 * time.Second

// standBy waits until no other relay works.
func (r *Relay) standBy(ctx context.Context, t *table) error {
	for said := false; ; {
		have, err := t.lock(ctx)
		if err != nil {
			return ofDatabase(err)
		}
		if have {
			r.metrics.setStandby("")
			return nil
		}
		holder, err := t.holder(ctx)
		if err != nil {
			return ofDatabase(err)
		}
		r.metrics.setStandby("standing by: another relay works: " + holder)
		r.metrics.beat()
		if !said {
			r.log.Info("standing by, since another relay works; this one takes over when that one ends", "other", holder)
			said = true
		}
		if sleep(ctx, time.Second); ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
