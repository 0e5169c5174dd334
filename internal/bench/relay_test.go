package bench

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"accountexport/events"
	"accountexport/internal/local/natsserver"
	"accountexport/internal/local/postgres"
	"accountexport/internal/relay"
	"accountexport/internal/stream"
	"accountexport/outbox"
)

// BenchmarkRelay measures `projector relay` on an outbox that has filled up, against a
// bare loop that promises nothing where it fails: it reads rows, publishes them all at
// once without waiting for any, and deletes them. On a hundred accounts and on ten
// thousand; and beside it what writing them took, a transaction each from one writer.
func BenchmarkRelay(b *testing.B) {
	for _, subjects := range []int{100, 10_000} {
		b.Run(fmt.Sprintf("subjects=%d", subjects), func(b *testing.B) {
			r := newReport(b, fmt.Sprintf("Relaying %d subjects", subjects))
			n := size(50_000, 10_000)
			for b.Loop() {
				for range size(3, 1) {
					bare := relayed(b, n, subjects, bareLoop)
					exact := relayed(b, n, subjects, theRelay)
					r.addShare(n, bare, exact)
				}
			}
		})
	}
}

// relayed is how long it takes until an outbox with so many messages is empty.
func relayed(b *testing.B, n, subjects int, do func(b *testing.B, url string, c *stream.Client)) time.Duration {
	b.Helper()
	url := postgres.TestDatabase(b)
	conn, err := pgx.Connect(b.Context(), url)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(context.Background())
	if err := outbox.Migrate(b.Context(), conn); err != nil {
		b.Fatal(err)
	}
	for from := 0; from < n; from += 1000 {
		var messages []events.Message
		for i := from; i < min(from+1000, n); i++ {
			messages = append(messages, statusChange(i, subjects).Message)
		}
		if err := pgx.BeginFunc(b.Context(), conn, func(tx pgx.Tx) error { return outbox.Write(b.Context(), tx, messages...) }); err != nil {
			b.Fatal(err)
		}
	}
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
	// The rows are as a relay finds them that has kept up, and was away for a while.
	if _, err := conn.Exec(b.Context(), `VACUUM ANALYZE outbox.messages`); err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	do(b, url, c)
	took := time.Since(began)
	info, err := c.Info(b.Context())
	if err != nil || info.Messages != uint64(n) {
		b.Fatalf("%d messages in the stream, want %d: %v", info.Messages, n, err)
	}
	return took
}

func theRelay(b *testing.B, url string, c *stream.Client) {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		b.Fatal(err)
	}
	looks, err := pgx.Connect(b.Context(), url)
	if err != nil {
		b.Fatal(err)
	}
	defer looks.Close(context.Background())
	ctx, stop := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- relay.New(c, relay.Options{Database: cfg, Logger: quiet(), Metrics: relay.NewMetrics(prometheus.NewRegistry())}).Run(ctx)
	}()
	for waiting := true; waiting; time.Sleep(5 * time.Millisecond) {
		if err := looks.QueryRow(b.Context(), `SELECT EXISTS (SELECT FROM outbox.messages)`).Scan(&waiting); err != nil {
			b.Fatal(err)
		}
	}
	stop()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
}

func bareLoop(b *testing.B, url string, c *stream.Client) {
	conn, err := pgx.Connect(b.Context(), url)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(context.Background())
	for {
		rows, err := conn.Query(b.Context(), `SELECT seq, subject, header, data FROM outbox.messages ORDER BY seq LIMIT 4096`)
		if err != nil {
			b.Fatal(err)
		}
		var seqs []int64
		var messages []events.Message
		var seq int64
		var m events.Message
		if _, err := pgx.ForEachRow(rows, []any{&seq, &m.Subject, &m.Header, &m.Data}, func() error {
			seqs, messages = append(seqs, seq), append(messages, m)
			m = events.Message{}
			return nil
		}); err != nil {
			b.Fatal(err)
		}
		if len(seqs) == 0 {
			return
		}
		i := 0
		if _, err := c.PublishAll(b.Context(), func() (events.Message, bool) {
			if i++; i > len(messages) {
				return events.Message{}, false
			}
			return messages[i-1], true
		}); err != nil {
			b.Fatal(err)
		}
		if _, err := conn.Exec(b.Context(), `DELETE FROM outbox.messages WHERE seq = ANY ($1)`, seqs); err != nil {
			b.Fatal(err)
		}
	}
}
