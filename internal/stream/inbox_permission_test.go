package stream

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"accountexport/internal/local/natsserver"
	"accountexport/projections"
)

// TestAnswersForbiddenForAMoment: the server revokes the permission to subscribe to
// the inbox while the client reads, and then grants it again. The client library
// alone would not subscribe again on that connection. Requests and reading go on
// without a new client.
func TestAnswersForbiddenForAMoment(t *testing.T) {
	config := func(denied string) string {
		return fmt.Sprintf(`jetstream: enabled
authorization { users: [ { user: u, password: p, permissions: { publish: ">", subscribe: { allow: ">", deny: [ %s ] } } } ] }`, denied)
	}
	srv := natsserver.ForTestWith(t, config(""))
	ctx := deadline(t)
	c, err := Connect(ctx, Config{URL: srv.URL(), User: "u", Password: "p", Name: t.Name()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if _, err := c.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	publishNotes(ctx, t, c, 1, 10)
	if err := srv.Reload(config(`"_INBOX.>"`)); err != nil {
		t.Fatal(err)
	}
	for { // until a request succeeds
		limit, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
		_, err := c.Info(limit)
		cancel()
		if err != nil {
			break
		}
	}
	if err := srv.Reload(config("")); err != nil {
		t.Fatal(err)
	}
	for {
		limit, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
		_, err := c.Info(limit)
		cancel()
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			t.Fatalf("it stays deaf: %v", err)
		}
	}
	read := 0
	if err := c.ReadAll(ctx, func(projections.Message) error { read++; return nil }); err != nil || read != 10 {
		t.Errorf("%d messages are read, %v", read, errors.Join(err, ctx.Err()))
	}
}
