package ops

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// told collects what systemd is told.
type told struct{ messages chan string }

func newTold() *told { return &told{make(chan string, 1000)} }

func (s *told) notify(state string) error { s.messages <- state; return nil }

// until returns the first message that contains the text, and all before it.
func (s *told) until(t *testing.T, text string) (found string, before []string) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		select {
		case m := <-s.messages:
			if strings.Contains(m, text) {
				return m, before
			}
			before = append(before, m)
		case <-deadline:
			t.Fatalf("systemd was never told %s, but %q", text, before)
		}
	}
}

// TestSystemdIsToldTheTruth: the program is ready once its admin server answers, whatever it waits
// for; the watchdog hears of it for as long as its own loop turns, and no longer; and its status is what
// /readyz says.
func TestSystemdIsToldTheTruth(t *testing.T) {
	t.Setenv("WATCHDOG_USEC", "40000")
	var database, stuck atomic.Bool
	server := NewServer(Registry(), quiet(), Check{"database", func(context.Context) error {
		if database.Load() {
			return nil
		}
		return errors.New("away")
	}})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	stopping, systemd, done := make(chan struct{}), newTold(), make(chan error, 2)
	s := Service{Admin: server, Listener: l, Stopping: stopping, Log: quiet(), notify: systemd.notify, Alive: func() error {
		if stuck.Load() {
			return LoopAlive(time.Now().Add(-2 * loopSilence))
		}
		return LoopAlive(time.Now())
	}}
	go func() { done <- s.Run(ctx) }()
	go func() { done <- server.Run(ctx, l) }()

	if m, _ := systemd.until(t, "READY=1"); !strings.Contains(m, "STATUS=not ready: database: away") {
		t.Errorf("ready comes with %q", m)
	}
	systemd.until(t, "WATCHDOG=1")
	database.Store(true)
	systemd.until(t, "STATUS=ok")

	stuck.Store(true)
	for range 3 { // what was on its way
		for len(systemd.messages) > 0 {
			<-systemd.messages
		}
		time.Sleep(20 * time.Millisecond)
	}
	select {
	case m := <-systemd.messages:
		t.Errorf("a program that is stuck tells %q", m)
	case <-time.After(200 * time.Millisecond):
	}
	stuck.Store(false)
	systemd.until(t, "WATCHDOG=1")

	close(stopping)
	systemd.until(t, "STOPPING=1")
	if _, before := systemd.until(t, "WATCHDOG=1"); len(before) > 0 { // it lives on while it ends
		t.Errorf("after STOPPING=1 comes %q", before)
	}
	end()
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// TestLoopsHaveTimeForServers: a loop that has not begun, or has turned minutes ago, is alive: a
// projector with the longest TAKEOVER_AFTER, 5 minutes, waits for a silent database for twice that.
func TestLoopsHaveTimeForServers(t *testing.T) {
	t.Parallel()
	for since, alive := range map[time.Duration]bool{0: true, 2*5*time.Minute + time.Minute: true, 16 * time.Minute: false} {
		if err := LoopAlive(time.Now().Add(-since)); (err == nil) != alive {
			t.Errorf("after %v: %v", since, err)
		}
	}
	if err := LoopAlive(time.Time{}); err != nil {
		t.Error(err)
	}
}

// TestWithoutSystemdNobodyIsTold, and nothing runs.
func TestWithoutSystemdNobodyIsTold(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	if err := (&Service{}).Run(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestAReceiverThatTakesNothing keeps no program from ending; that is logged once, and what was
// not taken is told again, so that a program that is up is known to be.
func TestAReceiverThatTakesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	receiver, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer receiver.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "40000")
	filler, err := net.Dial("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer filler.Close()
	for err == nil { // until its queue is full
		if err = filler.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)); err == nil {
			_, err = filler.Write([]byte("full"))
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	server := NewServer(Registry(), quiet())
	log := make(lines, 1000)
	s := Service{Admin: server, Listener: l, Log: slog.New(slog.NewTextHandler(log, nil))}
	done := make(chan error, 2)
	go func() { done <- s.Run(ctx) }()
	go func() { done <- server.Run(ctx, l) }()
	select {
	case line := <-log:
		if !strings.Contains(line, "systemd could not be told") {
			t.Errorf("logged %q", line)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("nothing is logged")
	}
	time.Sleep(2 * notifyTimeout) // several messages more
	for buf := make([]byte, 4096); ; {
		n, err := receiver.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(buf[:n]), "READY=1") {
			break
		}
	}
	if len(log) > 0 {
		t.Errorf("logged again: %q", <-log)
	}
	for err = nil; err == nil; { // until its queue is full
		if err = filler.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)); err == nil {
			_, err = filler.Write([]byte("full"))
		}
	}
	end()
	for range 2 {
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(30 * time.Second):
			t.Fatal("the program does not end")
		}
	}
}

// lines are those that were logged.
type lines chan string

func (l lines) Write(line []byte) (int, error) {
	l <- string(line)
	return len(line), nil
}
