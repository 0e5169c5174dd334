package stream

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"accountexport/internal/local/natsserver"
	"accountexport/internal/local/port"
	"accountexport/internal/local/tcpproxy"
)

// TestLostConnectionIsMadeAnew: a connection that stops without being closed, as
// through a network partition, is detected and replaced, while a reader reads and
// while only requests are sent.
func TestLostConnectionIsMadeAnew(t *testing.T) {
	for _, who := range []string{"reads", "asks"} {
		t.Run(who, func(t *testing.T) {
			t.Parallel()
			ctx := deadline(t)
			srv := natsserver.ForTest(t)
			if _, err := connect(t, srv).Provision(ctx); err != nil {
				t.Fatal(err)
			}
			proxy := tcpproxy.ForTest(t, strings.TrimPrefix(srv.URL(), "nats://"))
			c, err := Connect(ctx, Config{URL: "nats://" + proxy.Addr(), Name: t.Name()})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(c.Close)
			r := open(ctx, t, c, 0)
			publishNotes(ctx, t, c, 1, 5)
			readUpTo(ctx, t, r, 5)
			if n := proxy.Blackhole(); n != 1 {
				t.Fatalf("lost %d connections", n)
			}
			before := c.nc.Stats().Reconnects
			if who == "reads" {
				if _, err := r.Next(ctx, nil, bound); !errors.Is(err, ErrReaderStalled) && !errors.Is(err, ErrConnectionLost) {
					t.Errorf("reading: %v", err)
				}
			} else if _, err := c.Info(ctx); err == nil {
				t.Error("an answer over a lost connection")
			}
			for c.nc.Stats().Reconnects == before {
				if ctx.Err() != nil {
					t.Fatal("not connected again")
				}
				_, _ = c.Info(ctx)
			}
			publishNotes(ctx, t, c, 6, 9)
			readUpTo(ctx, t, open(ctx, t, c, 5), 9)
		})
	}
}

// TestConnectingEnds: when ConnectTimeout ends, the error says for which server it
// waited and why that does not answer.
func TestConnectingEnds(t *testing.T) {
	n, err := port.Free()
	if err != nil {
		t.Fatal(err)
	}
	_, err = Connect(t.Context(), Config{URL: fmt.Sprintf("nats://me:secret@127.0.0.1:%d", n), ConnectTimeout: 300 * time.Millisecond,
		Logger: slog.New(slog.DiscardHandler)})
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("127.0.0.1:%d", n)) || !strings.Contains(err.Error(), "NATS_URL") ||
		strings.Contains(err.Error(), "secret") {
		t.Errorf("%v", err)
	}
}
