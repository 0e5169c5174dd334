package e2e

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"accountexport/internal/local/documents"
	"accountexport/internal/local/testrun"
)

// TestConsoleManual runs the blocks of doc/console.md, in their order: each console until the
// next one, at an address that is free. The one behind a proxy answers whom the proxy names.
func TestConsoleManual(t *testing.T) {
	t.Parallel()
	testrun.Tool(t, "curl", "apt-get install curl")
	s := newSystem(t)
	s.startProjector(t)
	addr := freeAddr(t)
	m := &consoleManual{addr: addr, settings: maps.Clone(s.settings), here: strings.NewReplacer("10.0.0.7:9093", addr, "127.0.0.1:9093", addr,
		"10.0.0.5", "127.0.0.1", "postgres://projector:projector@127.0.0.1:5432/export", s.database, "nats://127.0.0.1:4222", s.nats.URL())}
	m.settings["CONSOLE_ADDR"], m.settings["PATH"] = addr, programs.dir+":"+os.Getenv("PATH")
	all, err := documents.Read("../..")
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, d := range all {
		if d.Path != "doc/console.md" {
			continue
		}
		for _, b := range d.Blocks() {
			if b.Lang != "sh" {
				continue
			}
			ran++
			switch {
			case b.KeepsRunning:
				m.start(t, b.Text)
				continue
			case strings.Contains(b.Text, "acts/resume"):
				m.start(t, "projector console --allow-acts\n")
			case strings.Contains(b.Text, "read-only"):
				m.start(t, "projector console\n")
			}
			m.run(t, b)
		}
	}
	if ran < 8 {
		t.Errorf("only %d blocks were run", ran)
	}
}

// consoleManual follows doc/console.md.
type consoleManual struct {
	addr     string
	here     *strings.Replacer // of addresses in the document
	settings map[string]string
	console  *process
}

// start ends the console that runs, and starts the next one.
func (m *consoleManual) start(t *testing.T, text string) {
	t.Helper()
	if m.console != nil {
		m.console.signal(syscall.SIGTERM)
		if exit := m.console.wait(); exit != 0 {
			t.Errorf("a console ended with %d", exit)
		}
	}
	m.console = launchFile(t, "/bin/sh", m.settings, "-c", "exec env "+m.here.Replace(text))
	header, want := "", http.StatusOK
	if strings.Contains(text, "--console-user-header X-Forwarded-User") {
		header = "X-Forwarded-User"
		want = http.StatusUnauthorized
	}
	eventually(t, text+" to answer", time.Minute, func(ctx context.Context) error {
		status, body, err := m.overview(ctx, "")
		if err == nil && status != want {
			err = fmt.Errorf("status %d: %s", status, body)
		}
		return err
	})
	if header == "" {
		return
	}
	eventually(t, "whom the proxy names to be answered", time.Minute, func(ctx context.Context) error {
		status, body, err := m.overview(ctx, header)
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("status %d: %s", status, body)
		}
		return err
	})
}

func (m *consoleManual) overview(ctx context.Context, header string) (int, []byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+m.addr+"/api/overview", nil)
	if err != nil {
		return 0, nil, err
	}
	if header != "" {
		r.Header.Set(header, "ann@example.org")
	}
	status, _, body, err := do(r)
	return status, body, err
}

// run runs a block to its end.
func (m *consoleManual) run(t *testing.T, b documents.Block) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-euc", m.here.Replace(b.Text))
	for k, v := range m.settings {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	out, err := cmd.CombinedOutput()
	if t.Logf("%s\n%s%s", b.At(), b.Text, out); err != nil {
		t.Errorf("%s: %v", b.At(), err)
	}
}
