package stream

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"accountexport/events"
	"accountexport/internal/local/natsserver"
	"accountexport/projections"
	"accountexport/projections/engine"
)

// deadline is the context of a test; it ends one that waits for something that does
// not happen.
func deadline(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func connect(t testing.TB, srv *natsserver.Server) *Client {
	t.Helper()
	return connectTo(t, srv, "CONTROL_PLANE")
}

func connectTo(t testing.TB, srv *natsserver.Server, stream string) *Client {
	t.Helper()
	c, err := Connect(deadline(t), Config{URL: srv.URL(), Name: t.Name(), Stream: stream})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// provisioned returns a client of an empty stream on a server of its own.
func provisioned(t testing.TB) (*Client, *natsserver.Server) {
	t.Helper()
	srv := natsserver.ForTest(t)
	c := connect(t, srv)
	if _, err := c.Provision(deadline(t)); err != nil {
		t.Fatal(err)
	}
	return c, srv
}

func account(n int) events.UUID {
	return events.UUID{0: byte(n >> 8), 1: byte(n), 15: 1}
}

// note is a message that carries its number n, from 1.
func note(n int) events.Message {
	return events.Message{Subject: events.AccountSubject(account(n % 50)), Data: fmt.Appendf(nil, "message %d", n)}
}

// publishNotes publishes the notes from first to last.
func publishNotes(ctx context.Context, t testing.TB, c *Client, first, last int) {
	t.Helper()
	n := first - 1
	if _, err := c.PublishAll(ctx, func() (events.Message, bool) {
		n++
		return note(n), n <= last
	}); err != nil {
		t.Fatal(err)
	}
}

func open(ctx context.Context, t testing.TB, c *Client, after uint64) engine.Reader {
	t.Helper()
	r, err := c.Open(ctx, after)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

var bound = engine.Bound{Events: 1000, Bytes: 1 << 20}

// readUpTo reads up to a position, and fails unless positions ascend.
func readUpTo(ctx context.Context, t testing.TB, r engine.Reader, position uint64) []projections.Message {
	t.Helper()
	var all []projections.Message
	for len(all) == 0 || all[len(all)-1].Position < position {
		batch, err := r.Next(ctx, nil, bound)
		if err != nil {
			t.Fatalf("after %d messages: %v", len(all), err)
		}
		if len(batch) == 0 {
			t.Fatal("Next returned neither a message nor an error")
		}
		all = append(all, batch...)
	}
	for i := 1; i < len(all); i++ {
		if all[i].Position <= all[i-1].Position {
			t.Fatalf("position %d after %d", all[i].Position, all[i-1].Position)
		}
	}
	return all
}

func positions(ms []projections.Message) []uint64 {
	var out []uint64
	for _, m := range ms {
		out = append(out, m.Position)
	}
	return out
}

// repeat is a payload of n bytes.
func repeat(n int) []byte { return []byte(strings.Repeat("x", n)) }
