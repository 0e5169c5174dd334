package tracing

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
)

// TestOffIsNothing: without an endpoint there are no traces, and asking for any changes
// nothing and allocates nothing.
func TestOffIsNothing(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	off, err := Start(Config{Service: "projector"}, log)
	if off != nil || err != nil {
		t.Fatal(off, err)
	}
	if off.On() || off.Logger(log) != log || off.Batches() != nil || off.Statements() != nil {
		t.Error("something is on")
	}
	header := map[string][]string{"Content-Type": {"application/json"}}
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() {
		_, end := off.Command(ctx, "projector publish")
		end(nil)
		_, end = Phase(ctx, "build")
		end(nil)
		if len(WithTraceparent(header, Traceparent(ctx))) != 1 {
			t.Error("a header has changed")
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
	off.Close(ctx)
}

// TestCollectorThatRefuses: it is said once a minute that spans were not delivered, with
// the collector and without its token.
func TestCollectorThatRefuses(t *testing.T) {
	asked := make(chan http.Header, 10)
	refuses := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Header
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	}))
	defer refuses.Close()
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	traces, err := Start(Config{Endpoint: refuses.URL + "/", Headers: map[string]string{"Authorization": "Bearer hunter2"}}, log)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		_, end := traces.Command(t.Context(), "projector erase")
		end(nil)
		if err := traces.provider.ForceFlush(t.Context()); err == nil {
			t.Error("the collector has taken spans")
		} else {
			otel.Handle(err)
		}
		if h := <-asked; h.Get("Authorization") != "Bearer hunter2" {
			t.Errorf("the collector was sent %v", h)
		}
	}
	traces.Close(t.Context())
	if n := strings.Count(out.String(), "\n"); n != 1 || !strings.Contains(out.String(), "it answers 307") || strings.Contains(out.String(), "hunter2") {
		t.Errorf("%d lines: %s", n, out.String())
	}
	if len(asked) > 0 {
		t.Error("the collector's redirection was followed")
	}
}

// TestComplaintsAreFew: the first at once, and then one a minute with how many there were.
func TestComplaintsAreFew(t *testing.T) {
	var out bytes.Buffer
	now := time.Unix(1e9, 0)
	c := complaints{log: slog.New(slog.NewTextHandler(&out, nil)), nowFunc: func() time.Time { return now }}
	for range 130 {
		c.Handle(errors.New("away"))
		now = now.Add(time.Second)
	}
	if n := strings.Count(out.String(), "\n"); n != 3 || strings.Count(out.String(), "others=59") != 2 {
		t.Errorf("%d lines: %s", n, out.String())
	}
}

// TestLinesNameTheirSpan: lines of the log with a span's context name it, with what the
// logger has beside.
func TestLinesNameTheirSpan(t *testing.T) {
	traces, _ := recording(t)
	var out bytes.Buffer
	log := traces.Logger(slog.New(slog.NewTextHandler(&out, nil))).With("replica", "a")
	ctx, end := traces.Command(t.Context(), "projector erase")
	log.InfoContext(ctx, "within")
	log.InfoContext(context.Background(), "without")
	end(nil)
	within, without, _ := strings.Cut(out.String(), "\n")
	if !strings.Contains(within, "replica=a trace_id="+Traceparent(ctx)[3:35]+" span_id="+Traceparent(ctx)[36:52]) || strings.Contains(without, "trace_id") {
		t.Errorf("the log is %s", out.String())
	}
}
