package ingest

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"accountexport/events"
	"accountexport/internal/local/natsserver"
	"accountexport/internal/stream"
	"accountexport/projections"
)

func TestMain(m *testing.M) {
	natsserver.ServeIfAsked()
	os.Exit(m.Run())
}

func deadline(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func connect(t testing.TB, url string) *stream.Client {
	t.Helper()
	c, err := stream.Connect(deadline(t), stream.Config{URL: url, Name: t.Name(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// provisioned is a client of an empty stream whose window for duplicates is so
// long.
func provisioned(t testing.TB, url string, window time.Duration) *stream.Client {
	t.Helper()
	c := connect(t, url)
	if _, err := c.Provision(deadline(t)); err != nil {
		t.Fatal(err)
	}
	reconfigure(t, url, func(cfg *jetstream.StreamConfig) { cfg.Duplicates = window })
	return c
}

// reconfigure changes the stream's settings, as an operator would.
func reconfigure(t testing.TB, url string, change func(*jetstream.StreamConfig)) {
	t.Helper()
	js := plain(t, url)
	s, err := js.Stream(deadline(t), "CONTROL_PLANE")
	if err != nil {
		t.Fatal(err)
	}
	cfg := s.CachedInfo().Config
	change(&cfg)
	if _, err := js.UpdateStream(deadline(t), cfg); err != nil {
		t.Fatal(err)
	}
}

// plain is JetStream without this project's client.
func plain(t testing.TB, url string) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func account(n int) events.UUID { return events.UUID{0: byte(n >> 8), 1: byte(n), 15: 1} }

// item is the n-th item, of one of so many subjects.
func item(n, subjects int) Item {
	id := fmt.Sprintf("item-%d", n)
	return Item{ID: id, Message: events.Message{Subject: events.AccountSubject(account(n % subjects)), Data: []byte(`{"id":"` + id + `"}`),
		Header: map[string][]string{"Content-Type": {"application/cloudevents+json"}}}}
}

func itemsOf(from, to, subjects int) (out []Item) {
	for n := from; n < to; n++ {
		out = append(out, item(n, subjects))
	}
	return out
}

// stored lists, by subject, the ids of all that the stream holds and a stranger
// has not published, in order.
func stored(t testing.TB, c *stream.Client) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	if err := c.ReadAll(deadline(t), func(m projections.Message) error {
		if m.Header["Stranger"] == nil {
			out[m.Subject] = append(out[m.Subject], stream.MessageID(m))
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// wanted is what the stream has to hold of the items.
func wanted(items []Item) map[string][]string {
	out := map[string][]string{}
	for _, i := range items {
		out[i.Message.Subject] = append(out[i.Message.Subject], i.ID)
	}
	return out
}

// bad is a sender that loses some answers and delays some messages, for longer
// than they are waited for: those then arrive when the same item may have been
// sent again.
type bad struct {
	sender
	random       *rand.Rand
	delay        float64 // of all
	answers      chan stream.Answer
	done         chan struct{}
	all, delayed sync.WaitGroup
}

func newBad(of sender, random *rand.Rand, lose, delay float64) *bad {
	b := &bad{sender: of, random: random, delay: delay, answers: make(chan stream.Answer), done: make(chan struct{})}
	losing := rand.New(rand.NewPCG(random.Uint64(), 1))
	b.all.Go(func() {
		for {
			select {
			case a := <-of.Answers():
				if losing.Float64() < lose {
					continue
				}
				select {
				case b.answers <- a:
				case <-b.done:
					return
				}
			case <-b.done:
				return
			}
		}
	})
	return b
}

func (b *bad) Answers() <-chan stream.Answer { return b.answers }

func (b *bad) Send(token uint64, m events.Message, id string, last uint64) error {
	if b.random.Float64() >= b.delay {
		return b.sender.Send(token, m, id, last)
	}
	wait := time.Duration(b.random.Int64N(int64(500 * time.Millisecond)))
	b.delayed.Go(func() {
		time.Sleep(wait)
		_ = b.sender.Send(token, m, id, last)
	})
	return nil
}

func (b *bad) Close() {
	close(b.done)
	b.all.Wait()
	b.delayed.Wait()
	b.sender.Close()
}
