package e2e

import (
	"context"
	"errors"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"accountexport/internal/local/tcpproxy"
	"accountexport/internal/local/testrun"
)

// notifySocket is where systemd would listen.
type notifySocket struct {
	*net.UnixConn
	settings map[string]string
}

func newNotifySocket(t *testing.T, settings map[string]string) *notifySocket {
	t.Helper()
	file := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: file, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	s := &notifySocket{conn, maps.Clone(settings)}
	s.settings["NOTIFY_SOCKET"], s.settings["WATCHDOG_USEC"] = file, "1000000"
	return s
}

// next returns the next message; ok is false where none comes within the limit.
func (s *notifySocket) next(t *testing.T, limit time.Duration) (message string, ok bool) {
	t.Helper()
	if err := s.SetReadDeadline(time.Now().Add(limit)); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 4096)
	n, err := s.Read(buffer)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return "", false
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(buffer[:n]), true
}

// await returns the first message that contains the text.
func (s *notifySocket) await(t *testing.T, text string) string {
	t.Helper()
	for deadline := time.Now().Add(patience(time.Minute)); time.Now().Before(deadline); {
		if m, ok := s.next(t, time.Second); ok && strings.Contains(m, text) {
			return m
		}
	}
	t.Fatalf("systemd is never told %s", text)
	return ""
}

// TestSystemdIsTold: each program that runs for long tells systemd over its socket that it is ready,
// again and again that it is alive, not while it is stopped, and that it ends.
func TestSystemdIsTold(t *testing.T) {
	t.Parallel()
	s := newOutboxSystem(t)
	api := maps.Clone(s.settings)
	api["HTTP_ADDR"], api["SUPABASE_URL"] = "127.0.0.1:0", "http://127.0.0.1:1"
	for _, test := range []struct {
		program  string
		args     []string
		settings map[string]string
		status   string // once all is well
	}{
		{"projector", []string{"run"}, s.settings, "STATUS=ok"},
		{"projector", []string{"relay"}, s.settings, "STATUS=ok"},
		{"api", nil, api, "STATUS=not ready: keys: "},
	} {
		t.Run(test.program+" "+strings.Join(test.args, ""), func(t *testing.T) {
			t.Parallel()
			systemd := newNotifySocket(t, test.settings)
			p := launch(t, test.program, systemd.settings, test.args...)
			if m := systemd.await(t, "READY=1"); !strings.Contains(m, test.status) {
				systemd.await(t, test.status)
			}
			systemd.await(t, "WATCHDOG=1")

			p.signal(syscall.SIGSTOP)
			if _, ok := systemd.next(t, 0); ok { // what was on its way
				for ok {
					_, ok = systemd.next(t, 100*time.Millisecond)
				}
			}
			if m, ok := systemd.next(t, time.Second); ok {
				t.Errorf("a stopped program tells %q", m)
			}
			p.signal(syscall.SIGCONT)
			systemd.await(t, "WATCHDOG=1")

			p.signal(syscall.SIGTERM)
			systemd.await(t, "STOPPING=1")
			if status := p.wait(); status != 0 {
				t.Errorf("it ends with %d", status)
			}
		})
	}
}

// TestWatchdogForgivesServers: a program whose servers are away, from the start or silent later, is
// ready for systemd, which its status explains, and is never taken for dead.
func TestWatchdogForgivesServers(t *testing.T) {
	t.Parallel()
	s := newOutboxSystem(t)
	nowhere := "postgres://nobody@127.0.0.1:1/none"
	api := maps.Clone(s.settings)
	api["HTTP_ADDR"], api["SUPABASE_URL"] = "127.0.0.1:0", "http://127.0.0.1:1"
	for name, test := range map[string]struct {
		program string
		args    []string
		with    map[string]string
	}{
		"run without a database":   {"projector", []string{"run"}, map[string]string{"DATABASE_URL": nowhere}},
		"run without NATS":         {"projector", []string{"run"}, map[string]string{"NATS_URL": "nats://127.0.0.1:1"}},
		"relay without a database": {"projector", []string{"relay"}, map[string]string{"OUTBOX_DATABASE_URL": nowhere}},
		"relay without NATS":       {"projector", []string{"relay"}, map[string]string{"NATS_URL": "nats://127.0.0.1:1"}},
		"api without a database":   {"api", nil, map[string]string{"DATABASE_URL": nowhere}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			systemd := newNotifySocket(t, api)
			maps.Copy(systemd.settings, test.with)
			p := launch(t, test.program, systemd.settings, test.args...)
			if m := systemd.await(t, "READY=1"); !strings.Contains(m, "STATUS=not ready: ") {
				t.Errorf("it tells %q", m)
			}
			for range 8 { // two seconds of them
				systemd.await(t, "WATCHDOG=1")
			}
			p.signal(syscall.SIGTERM)
			systemd.await(t, "STOPPING=1")
			if status := p.wait(); status != 0 {
				t.Errorf("it ends with %d", status)
			}
		})
	}
	t.Run("a database that falls silent", func(t *testing.T) {
		t.Parallel()
		if !testrun.Long() {
			t.Skip("takes half a minute; make test-long runs it")
		}
		network := tcpproxy.ForTest(t, s.databaseAddr())
		systemd := newNotifySocket(t, s.settings)
		systemd.settings["DATABASE_URL"] = s.databaseThrough(t, network)
		p := launch(t, "projector", systemd.settings, "run")
		systemd.await(t, "STATUS=ok")
		network.Stall()
		systemd.await(t, "STATUS=not ready: ")
		for range 40 {
			systemd.await(t, "WATCHDOG=1")
		}
		network.Resume()
		systemd.await(t, "STATUS=ok")
		p.signal(syscall.SIGTERM)
		eventually(t, "its end", time.Minute, func(context.Context) error { p.wait(); return nil })
	})
}
