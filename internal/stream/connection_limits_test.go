package stream

import (
	"errors"
	"strings"
	"testing"
	"time"

	"accountexport/internal/local/natsserver"
)

// TestLimitsOfTheConnection: too few subscriptions for the connection, and too few
// connections, are reported at once and not waited for.
func TestLimitsOfTheConnection(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	srv := natsserver.ForTestWith(t, "jetstream: enabled\nmax_subscriptions: 1\nmax_connections: 1")
	c := connect(t, srv)
	if _, err := c.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	r := open(ctx, t, c, 0) // one more than the inbox of its requests
	if _, err := r.Next(ctx, nil, bound); !errors.Is(err, ErrMaxSubscriptions) {
		t.Errorf("reading: %v", err)
	}
	if _, err := c.Info(ctx); err != nil {
		t.Errorf("what is heard still fails: %v", err)
	}
	_, err := Connect(ctx, Config{URL: srv.URL(), ConnectTimeout: 300 * time.Millisecond})
	if err == nil || !strings.Contains(err.Error(), "max_connections") { // the server reports it, or closes before
		t.Errorf("connecting: %v", err)
	}
}

// TestOneReaderMoreThanSubscriptions: a reader for which no subscription is left ends
// with that error, and no other reader ends with it.
func TestOneReaderMoreThanSubscriptions(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	srv := natsserver.ForTestWith(t, "jetstream: enabled\nmax_subscriptions: 2")
	c, publisher := connect(t, srv), connect(t, srv)
	if _, err := c.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	publishNotes(ctx, t, publisher, 1, 10)
	first := open(ctx, t, c, 0)
	readUpTo(ctx, t, first, 10)
	second := open(ctx, t, c, 0)
	if _, err := second.Next(ctx, nil, bound); !errors.Is(err, ErrMaxSubscriptions) {
		t.Errorf("one more reads: %v", err)
	}
	publishNotes(ctx, t, publisher, 11, 20)
	readUpTo(ctx, t, first, 20)
}
