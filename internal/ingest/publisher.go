package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"accountexport/events"
	"accountexport/internal/stream"
	"accountexport/internal/tracing"
	"accountexport/projections/engine"
)

// Item is an event to be published.
type Item struct {
	Message events.Message
	ID      string // sent as Nats-Msg-Id; not empty, and one of its kind among those of one call
	Tried   bool   // an earlier call, perhaps of a process that is gone, may have sent it
}

// Ack says where the stream holds an item.
type Ack struct {
	Position uint64
	Found    bool // it was there already: an earlier attempt has stored it, or somebody else
	Erased   bool // it was not published: its account is erased, by the event at Position
}

// Options say how to publish.
type Options struct {
	Window          int           // messages without an answer at once, each on a subject of its own; default 1024
	Bytes           int           // of them, unless it is one; default 16 MiB
	AnswerTimeout   time.Duration // after which a message is looked for; default 5 s
	ProgressTimeout time.Duration // without any acknowledgement after which Publish gives up; default: none
	SkipErased      bool          // leave out what is of an account that is erased; default: publish it, too
	Logger          *slog.Logger  // default: slog.Default()
}

// Publisher publishes to one stream. Its methods may be called by several
// goroutines at once, as long as no two publish on the same subject: their order
// would be nobody's.
type Publisher struct {
	client *stream.Client
	opt    Options
	sender func(most int) (sender, error)

	// Where the subjects' last messages were last seen, so that the first
	// condition on a subject mostly holds. What is wrong here costs a round trip.
	last *lru.Cache[string, uint64]
}

// rememberedSubjects bounds that memory, to some 15 MB.
const rememberedSubjects = 1 << 16

// sender is [stream.Sender].
type sender interface {
	Send(token uint64, m events.Message, id string, last uint64) error
	Answers() <-chan stream.Answer
	Lost() <-chan struct{}
	Close()
}

// New makes a publisher.
func New(client *stream.Client, opt Options) *Publisher {
	if opt.Window <= 0 {
		opt.Window = 1024
	}
	if opt.Bytes <= 0 {
		opt.Bytes = 16 << 20
	}
	if opt.AnswerTimeout <= 0 {
		opt.AnswerTimeout = 5 * time.Second
	}
	if opt.Logger == nil {
		opt.Logger = slog.Default()
	}
	last, err := lru.New[string, uint64](rememberedSubjects)
	if err != nil {
		panic(err) // only for a size below one
	}
	return &Publisher{client: client, opt: opt, last: last,
		sender: func(most int) (sender, error) { return client.NewSender(most) }}
}

// Mark is the position of the stream's last message now. Noted before an item is
// first published, it is where a later search for the item begins. A stream whose
// subject transform is missing has one, too.
func (p *Publisher) Mark(ctx context.Context) (position uint64, err error) {
	info, err := p.client.Info(ctx)
	if err != nil && !errors.Is(err, engine.ErrPartitions) {
		return 0, err
	}
	return info.Last, nil
}

// Publish publishes the items, those of one subject in their order, and returns
// once the stream holds each exactly once. after is what [Publisher.Mark] said
// before any of them was first sent, by whatever process. acked is told of each
// as soon as it is known to be there; of one subject in order, by one goroutine.
//
// Messages without a traceparent have that of the span of ctx, where there is one. One
// that is too large with a traceparent, its own or that, is stored without.
//
// What may pass is tried again, as long as Options.ProgressTimeout says. With an error
// those that acked was told of are there, and so may be, of each subject, the next
// one: whoever goes on passes it with Tried set. A [*CollisionError] is of an item
// whose id belongs to another message.
func (p *Publisher) Publish(ctx context.Context, items []Item, after uint64, acked func(i int, a Ack)) error {
	if len(items) == 0 {
		return ctx.Err()
	}
	if err := distinct(items); err != nil {
		return err
	}
	return p.client.Publishing(ctx, func(ctx context.Context) error {
		to, err := p.sender(p.opt.Window)
		if err != nil {
			return err
		}
		defer to.Close()
		r := newRun(p, to, items, after, acked)
		r.trace = tracing.Traceparent(ctx)
		return r.do(ctx)
	})
}

// distinct refuses items without an id, and two with one: of those the server
// would drop the second within its window for duplicates, and store it later.
func distinct(items []Item) error {
	seen := make(map[string]int, len(items))
	for i, item := range items {
		id := item.id()
		if id == "" {
			return &ItemError{i, fmt.Errorf("publish on %s: the message has no id", item.Message.Subject)}
		}
		if first, ok := seen[id]; ok {
			return &RepeatedIDError{ID: id, First: first, Second: i}
		}
		seen[id] = i
	}
	return nil
}
