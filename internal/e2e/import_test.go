package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"accountexport/events"
	"accountexport/internal/local/testrun"
	"accountexport/internal/stream"
	"accountexport/projections"
)

// usage writes so many increments, of which each counts, over so many accounts,
// and says what the stream has to hold of them.
func usage(t *testing.T, lines, accounts int) (path string, want map[string][]string) {
	t.Helper()
	want = map[string][]string{}
	var b strings.Builder
	for n := range lines {
		account := events.UUID{0: 7, 1: byte(n % accounts >> 8), 2: byte(n % accounts), 15: 1}.String()
		fmt.Fprintf(&b, `{"specversion":"1.0","id":"old-%d","source":"/old","type":"controlplane.quota_usage.incremented.v1","time":"2020-05-01T10:00:00Z",`+
			`"partitionkey":"%s","data":{"team_id":"%s","usage_date":"2020-05-01","sandbox_creates":1,"gb_hours":0.5}}`+"\n", n, account, someTeam)
		subject := "controlplane.account." + account
		want[subject] = append(want[subject], fmt.Sprintf("old-%d", n))
	}
	path = filepath.Join(t.TempDir(), "usage.ndjson")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, want
}

// imported are the ids that the stream holds of what was imported, in order.
func (s *system) imported(t *testing.T) map[string][]string {
	t.Helper()
	got := map[string][]string{}
	if err := s.client.ReadAll(t.Context(), func(m projections.Message) error {
		if id := stream.MessageID(m); strings.HasPrefix(id, "old-") {
			got[m.Subject] = append(got[m.Subject], id)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return got
}

// last is the stream's last position.
func (s *system) last(t *testing.T) uint64 {
	t.Helper()
	info, err := s.client.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return info.Last
}

// shortWindow gives the stream a window for duplicates of 100 ms.
func (s *system) shortWindow(t *testing.T) {
	t.Helper()
	nc, err := nats.Connect(s.settings["NATS_URL"])
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	st, err := js.Stream(t.Context(), "CONTROL_PLANE")
	if err != nil {
		t.Fatal(err)
	}
	cfg := st.CachedInfo().Config
	cfg.Duplicates = 100 * time.Millisecond
	if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
}

// TestImportIsKilledAndGoesOn: killed hard at random moments and begun again once
// the window for duplicates has passed, an import publishes each line once, from a
// file and from a pipe into which the same is sent again.
func TestImportIsKilledAndGoesOn(t *testing.T) {
	t.Parallel()
	for _, from := range []string{"file", "pipe"} {
		for _, accounts := range []int{3, 500} {
			t.Run(fmt.Sprint(from, accounts), func(t *testing.T) {
				t.Parallel()
				s := newSystem(t)
				s.shortWindow(t)
				lines := 30_000
				if testrun.Long() {
					lines = 300_000
				}
				path, want := usage(t, lines, accounts)
				progress := filepath.Join(t.TempDir(), "progress")
				run := func() *process {
					if from == "file" {
						return launch(t, "projector", s.settings, "import", path, "--progress", progress)
					}
					binary(t, "projector")
					return launchFile(t, "/bin/sh", s.settings, "-c", `exec "$0" import - --progress "$1" < "$2"`, filepath.Join(programs.dir, "projector"), progress, path)
				}
				killed := 0
				for killed < 12 {
					before := s.last(t)
					p := run()
					more := uint64(1 + rand.IntN(lines/15))
					eventually(t, "some lines to be published", time.Minute, func(context.Context) error {
						if now := s.last(t); now < before+more {
							return fmt.Errorf("%d of %d", now-before, more)
						}
						return nil
					})
					p.kill()
					killed++
					time.Sleep(110 * time.Millisecond) // the window for duplicates passes
				}
				p := run()
				if status := p.wait(); status != 0 {
					t.Fatalf("exit %d: %s", status, p.out.tail(2000))
				}
				t.Logf("killed %d times; %s", killed, p.out.tail(300))
				if !strings.Contains(p.out.tail(1000), fmt.Sprintf("%d lines: ", lines)) {
					t.Errorf("it says %s", p.out.tail(1000))
				}
				if strings.Contains(p.out.tail(1000), " 0 found") {
					t.Error("no line was published by a run that could not note it")
				}
				if diff := cmp.Diff(want, s.imported(t)); diff != "" {
					t.Errorf("-want +got:\n%.4000s", diff)
				}
			})
		}
	}
}

// TestImportSaysHowToGoOn: asked to end, or stopped by a wrong line, an import
// ends with a command as its last line, and that command, run by a shell, ends it.
func TestImportSaysHowToGoOn(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.shortWindow(t)
	path, want := usage(t, 40_000, 200)
	odd := filepath.Join(filepath.Dir(path), "it's old.ndjson")
	if err := os.Rename(path, odd); err != nil {
		t.Fatal(err)
	}
	p := launch(t, "projector", s.settings, "import", odd)
	eventually(t, "a window under way", 30*time.Second, func(context.Context) error {
		_, err := os.Stat(odd + ".progress")
		return err
	})
	p.signal(syscall.SIGTERM)
	if status := p.wait(); status != 1 {
		t.Fatalf("asked to end: exit %d: %s", status, p.out.tail(2000))
	}
	s.goesOn(t, p.out.tail(4000), "asked to end: ")
	if diff := cmp.Diff(want, s.imported(t)); diff != "" {
		t.Errorf("-want +got:\n%.4000s", diff)
	}

	whole, err := os.ReadFile(odd)
	if err != nil {
		t.Fatal(err)
	}
	wrong := strings.Replace(string(whole), `"id":"old-20000"`, `"id":""`, 1)
	if err := os.WriteFile(path, []byte(wrong), 0o600); err != nil {
		t.Fatal(err)
	}
	out, status := command(t, "projector", s.settings, "import", path)
	if status != 1 || !strings.Contains(out, "line 20001 (byte ") || !strings.Contains(out, `id: found "", want a text that is not empty`) {
		t.Fatalf("a wrong line: exit %d: %s", status, out)
	}
	if diff := cmp.Diff(want, s.imported(t)); diff != "" {
		t.Errorf("a wrong line: -want +got:\n%.4000s", diff)
	}
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(whole), `"id":"old`, `"id":"new`)), 0o600); err != nil {
		t.Fatal(err)
	}
	s.goesOn(t, out, "nothing was published by this call, and no line is noted as published yet; ")
}

// goesOn runs, by a shell, the command that an import has ended with.
func (s *system) goesOn(t *testing.T, said, with string) {
	t.Helper()
	said = strings.TrimSpace(said)
	last := said[strings.LastIndex(said, "\n")+1:]
	before, advice, found := strings.Cut(last, "run: ")
	if !found || !strings.Contains(before, with) {
		t.Fatalf("it ends with %q, want a command, and %q", last, with)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", advice)
	cmd.Env = append(os.Environ(), "PATH="+programs.dir+":"+os.Getenv("PATH"))
	for k, v := range s.settings {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "40000 lines: ") {
		t.Errorf("%s: %v: %s", advice, err, out)
	}
}
