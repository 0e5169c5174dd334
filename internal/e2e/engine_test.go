package e2e

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/internal/local/natsserver"
	"accountexport/internal/local/postgres"
	"accountexport/internal/stream"
	"accountexport/projections"
	"accountexport/readmodel"
)

func TestExampleScratch(t *testing.T) {
	ctx := context.Background()
	srv := natsserver.ForTest(t)
	c, err := stream.Connect(ctx, stream.Config{URL: srv.URL()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	b, _ := os.ReadFile("../../projections/testdata/example/messages.jsonl")
	fold := projections.NewFold()
	for _, l := range strings.Split(strings.TrimSpace(string(b)), "\n") {
		var m struct {
			Subject string
			Headers map[string]string
			Payload string `json:"payload_b64"`
		}
		if err := json.Unmarshal([]byte(l), &m); err != nil {
			t.Fatal(err)
		}
		data, _ := base64.StdEncoding.DecodeString(m.Payload)
		h := map[string][]string{}
		for k, v := range m.Headers {
			h[k] = []string{v}
		}
		em := events.Message{Subject: m.Subject, Header: h, Data: data}
		pos, err := c.PublishRaw(ctx, em)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := fold.Apply(projections.Message{Position: pos, Message: em}); err != nil {
			t.Fatal(err)
		}
	}
	url := postgres.TestDatabase(t)
	if err := readmodel.Migrate(ctx, url); err != nil {
		t.Fatal(err)
	}
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	store := readmodel.NewStore(pool, "test", slog.Default())
	defer store.Close(ctx)
	p := projections.New(c, store, projections.Options{Guard: stream.Guard, Batch: projections.Bound{Events: 7, Bytes: 1 << 20}})
	if err := p.RunToEnd(ctx); err != nil {
		t.Fatal(err)
	}
	p.Close()
	x := readmodel.NewExports(pool)
	n := 0
	for _, id := range fold.Accounts() {
		want, _, err := fold.Document(id)
		if err != nil {
			t.Fatal(err)
		}
		d, err := x.Open(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		if d.State == readmodel.Complete {
			n++
			if _, err := d.WriteTo(&got); err != nil {
				t.Fatal(err)
			}
		}
		d.Close()
		if got.String() != string(want) {
			t.Errorf("%s: got %s want %s", id, got.String(), want)
		}
	}
	t.Log(n)
}
