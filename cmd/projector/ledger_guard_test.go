package main

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"accountexport/internal/acts"
	"accountexport/internal/local/natsserver"
	"accountexport/internal/stream"
	"accountexport/projections/engine"
)

// TestLedgerThatIsNotComparedFoldsNothing: until the whole ledger was compared with the
// stream, the guard does not accept the stream, however often it is asked, and each
// time it goes on where it was.
func TestLedgerThatIsNotComparedFoldsNothing(t *testing.T) {
	srv := natsserver.ForTest(t)
	client, err := stream.Connect(t.Context(), stream.Config{URL: srv.URL(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	info := engine.StreamInfo{Name: "CONTROL_PLANE", Created: time.Unix(1, 0), First: 1, Last: 10, Partitions: 16}
	have := engine.StreamIdentity{Name: info.Name, Created: info.Created, Partitions: 16}
	var result error
	asked := 0
	l := &ledgerGuard{ctx: t.Context(), on: acts.Target{Stream: client}, log: slog.New(slog.DiscardHandler), timeout: time.Millisecond}
	guard := func() error {
		if l.compare == nil {
			l.under = streamSeen{client.ConnectCount(), info.Created, info.Last}
			l.compare = func(context.Context) error { asked++; return result }
		}
		return l.guard(info, have, 0, 0)
	}
	result = errors.New("the server is away")
	for n := range 5 {
		info.Last++
		if err := guard(); !errors.Is(err, engine.ErrUnverified) || errors.Is(err, engine.ErrRefused) || asked <= n {
			t.Fatalf("not compared: %v, asked %d times", err, asked)
		}
	}
	result = acts.ErrErasuresMissing
	if err := guard(); !errors.Is(err, acts.ErrErasuresMissing) || errors.Is(err, engine.ErrUnverified) {
		t.Errorf("one is lacking: %v", err)
	}
	result = nil
	if err := guard(); err != nil {
		t.Errorf("compared: %v", err)
	}
	result, asked = errors.New("asked again"), 0
	if err := l.guard(info, have, 0, 0); err != nil || asked != 0 {
		t.Errorf("compared already: %v, asked %d times", err, asked)
	}
	info.Last -= 5
	if err := guard(); !errors.Is(err, engine.ErrUnverified) {
		t.Errorf("it has lost its end: %v", err)
	}
}
