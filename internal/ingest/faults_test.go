package ingest

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"accountexport/events"
	"accountexport/internal/local/natsserver"
	"accountexport/internal/local/tcpproxy"
)

func natsMessage(m events.Message, id string) *nats.Msg {
	return &nats.Msg{Subject: m.Subject, Data: m.Data, Header: nats.Header{nats.MsgIdHdr: {id}, "Stranger": {"yes"}}}
}

// TestLostAnswersAndLateMessages: of all answers a fifth is lost, and of all
// messages a fifth arrives only when the same item may have been sent again.
func TestLostAnswersAndLateMessages(t *testing.T) {
	ctx := deadline(t)
	srv := natsserver.ForTest(t)
	c := provisioned(t, srv.URL(), 100*time.Millisecond)
	random := seeded(t)
	stop := stranger(t, srv.URL(), 20)
	defer stop()
	found := 0
	items := itemsOf(0, 800, 100)
	p := New(c, Options{AnswerTimeout: 60 * time.Millisecond})
	p.sender = func(most int) (sender, error) {
		s, err := c.NewSender(most)
		return newBad(s, random, 0.2, 0.2), err
	}
	if err := p.Publish(ctx, items, 0, func(_ int, a Ack) {
		if a.Found {
			found++
		}
	}); err != nil {
		t.Fatal(err)
	}
	stop()
	if found < 100 {
		t.Errorf("%d items were found after their answers had been lost; want a fifth", found)
	}
	if diff := cmp.Diff(wanted(items), stored(t, c)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// seeded is of SEED, or of a new one, which is logged.
func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	if s, err := strconv.ParseUint(os.Getenv("SEED"), 10, 64); err == nil {
		seed = s
	}
	t.Logf("SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// TestRandomFaults: connections cut, silent and lost, the server killed, the
// stream's transform taken away and put back, answers lost, messages late, a
// stranger on the same subjects, and the publisher abandoned and begun anew, with
// a window for duplicates that has long passed.
func TestRandomFaults(t *testing.T) {
	random := seeded(t)
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	srv, err := natsserver.StartProcess(ctx, natsserver.Options{Dir: t.TempDir(), SyncAlways: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Kill)
	proxy := tcpproxy.ForTest(t, srv.Addr())
	direct := provisioned(t, srv.URL(), 100*time.Millisecond)
	transform := plainStream(t, srv.URL()).CachedInfo().Config.SubjectTransform
	stop := stranger(t, srv.URL(), 10)
	defer stop()

	rounds := 12
	if os.Getenv("LONG") != "" {
		rounds = 60
	}
	var all []Item
	faults := map[string]int{}
	for round := range rounds {
		subjects := []int{1, 5, 60, 500}[random.IntN(4)]
		items := itemsOf(round*1000, round*1000+100+random.IntN(500), subjects)
		all = append(all, items...)
		mark := until(ctx, t, New(direct, Options{}).Mark)
		left := items
		for len(left) > 0 {
			kind := random.IntN(8)
			if kind == 1 && faults["lost"] > round/10 {
				kind = 0 // it takes seconds until a lost connection is noticed
			}
			silent := slog.New(slog.DiscardHandler)
			client := connect(t, "nats://"+proxy.Addr())
			p := New(client, Options{Window: 1 + random.IntN(300), AnswerTimeout: 300 * time.Millisecond, Logger: silent})
			lose := 0.0
			if random.IntN(2) == 0 {
				lose = 0.02
			}
			seed := random.Uint64()
			p.sender = func(most int) (sender, error) {
				s, err := client.NewSender(most)
				return newBad(s, rand.New(rand.NewPCG(seed, 1)), lose, lose), err
			}
			attempt, abandon := context.WithCancel(ctx)
			acked := make([]bool, len(left))
			at, n := 1+random.IntN(len(left)), 0
			strike, struck := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(struck)
				select {
				case <-strike:
				case <-attempt.Done():
					return
				}
				switch kind {
				case 0:
					proxy.Cut()
				case 1:
					proxy.Blackhole()
				case 2:
					proxy.Stall()
					time.Sleep(400 * time.Millisecond)
					proxy.Resume()
				case 3:
					if err := srv.Restart(ctx); err != nil { // which kills it first
						t.Error(err)
					}
				case 4:
					change := func(cfg *jetstream.StreamConfig) { cfg.SubjectTransform = nil }
					reconfigure(t, srv.URL(), change)
					time.Sleep(20 * time.Millisecond)
					reconfigure(t, srv.URL(), func(cfg *jetstream.StreamConfig) { cfg.SubjectTransform = transform })
				case 5:
					abandon()
				case 6:
					proxy.Cut()
					time.Sleep(5 * time.Millisecond)
					abandon()
				}
			}()
			if kind == 4 {
				lose = 0 // a message that is late over that moment is out of what is promised
			}
			err := p.Publish(attempt, left, mark, func(i int, _ Ack) {
				acked[i] = true
				if n++; n == at {
					close(strike)
				}
			})
			abandon()
			<-struck
			if err != nil && !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			faults[[]string{"cut", "lost", "silent", "killed", "no transform", "abandoned", "cut and abandoned", "none"}[kind]]++
			left = unacknowledged(left, acked)
		}
	}
	stop()
	t.Logf("%d items, faults %v", len(all), faults)
	if diff := cmp.Diff(wanted(all), stored(t, direct)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// until asks again while the server is away.
func until(ctx context.Context, t *testing.T, ask func(context.Context) (uint64, error)) uint64 {
	t.Helper()
	for {
		v, err := ask(ctx)
		if err == nil {
			return v
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
	}
}
