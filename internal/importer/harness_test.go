package importer

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"accountexport/events"
	"accountexport/internal/local/natsserver"
	"accountexport/internal/stream"
	"accountexport/projections"
)

func deadline(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// provisioned is a client of an empty stream with a short window for duplicates.
func provisioned(t testing.TB) (*stream.Client, *natsserver.Server) {
	t.Helper()
	srv := natsserver.ForTest(t)
	c, err := stream.Connect(deadline(t), stream.Config{URL: srv.URL(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if _, err := c.Provision(deadline(t)); err != nil {
		t.Fatal(err)
	}
	shorten(t, srv.URL())
	return c, srv
}

// shorten makes the stream's window for duplicates too short to help.
func shorten(t testing.TB, url string) {
	t.Helper()
	updateStream(t, url, func(c *jetstream.StreamConfig) { c.Duplicates = 100 * time.Millisecond })
}

// updateStream changes the stream's settings.
func updateStream(t testing.TB, url string, change func(*jetstream.StreamConfig)) {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	s, err := js.Stream(deadline(t), "CONTROL_PLANE")
	if err != nil {
		t.Fatal(err)
	}
	cfg := s.CachedInfo().Config
	change(&cfg)
	if _, err := js.UpdateStream(deadline(t), cfg); err != nil {
		t.Fatal(err)
	}
}

var someTime = time.Date(2026, 3, 25, 7, 11, 48, 0, time.UTC)

func account(n int) string { return events.UUID{0: byte(n >> 8), 1: byte(n), 15: 1}.String() }

// increment is the n-th line: an event that must not be folded twice.
func increment(n, accounts int) string {
	return fmt.Sprintf(`{"specversion":"1.0","id":"line-%d","source":"/old","type":"controlplane.quota_usage.incremented.v1",`+
		`"time":"2020-05-01T10:00:00Z","partitionkey":"%s","data":{"team_id":"%s","usage_date":"2020-05-01","sandbox_creates":1,"gb_hours":0}}`,
		n, account(n%accounts), account(1))
}

func increments(from, to, accounts int) string {
	var b strings.Builder
	for n := from; n < to; n++ {
		b.WriteString(increment(n, accounts) + "\n")
	}
	return b.String()
}

// stored lists the ids that the stream holds, by subject.
func stored(t testing.TB, c *stream.Client) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	if err := c.ReadAll(deadline(t), func(m projections.Message) error {
		out[m.Subject] = append(out[m.Subject], stream.MessageID(m))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// lineIDs is what the stream has to hold of the lines.
func lineIDs(from, to, accounts int) map[string][]string {
	out := map[string][]string{}
	for n := from; n < to; n++ {
		subject := "controlplane.account." + account(n%accounts)
		out[subject] = append(out[subject], fmt.Sprintf("line-%d", n))
	}
	return out
}

func inline(s string) Source {
	return func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(s)), nil }
}

func gzipped(t testing.TB, s string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(s))
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func progressPath(t testing.TB) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "progress")
}

func read(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
