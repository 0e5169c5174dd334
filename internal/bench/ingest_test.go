package bench

import (
	"fmt"
	"testing"
	"time"

	"accountexport/events"
	"accountexport/internal/ingest"
	"accountexport/internal/local/natsserver"
	"accountexport/internal/stream"
)

// BenchmarkIngest measures exactly-once publishing, as `projector import` and
// `relay` do it, against a bare loop of async publishing that tells nothing where
// it fails: the same messages, on one subject, on a hundred and on ten thousand.
func BenchmarkIngest(b *testing.B) {
	for _, subjects := range []int{1, 100, 10_000} {
		b.Run(fmt.Sprintf("subjects=%d", subjects), func(b *testing.B) {
			r := newReport(b, fmt.Sprintf("Publishing on %d subjects", subjects))
			n := size(100_000, 20_000)
			if subjects == 1 {
				n /= 4
			}
			for b.Loop() {
				for range size(3, 1) {
					bare := timeOf(b, func(c *stream.Client) error {
						i := 0
						_, err := c.PublishAll(b.Context(), func() (events.Message, bool) {
							i++
							return statusChange(i, subjects).Message, i <= n
						})
						return err
					})
					exact := timeOf(b, func(c *stream.Client) error {
						p := ingest.New(c, ingest.Options{Logger: quiet()})
						const window = 8192
						for from := 0; from < n; from += window {
							after, err := p.Mark(b.Context())
							if err != nil {
								return err
							}
							var items []ingest.Item
							for i := from; i < min(from+window, n); i++ {
								items = append(items, statusChange(i, subjects))
							}
							if err := p.Publish(b.Context(), items, after, func(int, ingest.Ack) {}); err != nil {
								return err
							}
						}
						return nil
					})
					r.addShare(n, bare, exact)
				}
			}
		})
	}
}

// timeOf is how long something takes on a server and stream of its own.
func timeOf(b *testing.B, do func(*stream.Client) error) time.Duration {
	b.Helper()
	srv, err := natsserver.Start(natsserver.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer srv.Stop()
	c, err := stream.Connect(b.Context(), stream.Config{URL: srv.URL(), Logger: quiet()})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Provision(b.Context()); err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	if err := do(c); err != nil {
		b.Fatal(err)
	}
	return time.Since(began)
}

// statusChange is the i-th message of some 400 bytes.
func statusChange(i, subjects int) ingest.Item {
	account := events.UUID{0: byte(i % subjects >> 8), 1: byte(i % subjects), 15: 1}
	id := fmt.Sprintf("%d", i)
	data := fmt.Appendf(nil, `{"specversion":"1.0","id":"%s","source":"/bench","type":"controlplane.sandbox.status_changed.v1","time":"2026-05-01T10:00:00Z",`+
		`"partitionkey":"%s","datacontenttype":"application/json","data":{"id":"sandbox-%d","status":"running"}}`, id, account, i)
	return ingest.Item{ID: id, Message: message(events.AccountSubject(account), map[string][]string{"Content-Type": {"application/cloudevents+json"}}, data)}
}
