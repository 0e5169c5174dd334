package tracing

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"accountexport/projections"
	"accountexport/projections/engine"
)

// message is one with a header.
func message(header map[string][]string) projections.Decoded {
	var d projections.Decoded
	d.Header = header
	return d
}

func traceparentOf(n int) []string { return []string{fmt.Sprintf("00-%032x-%016x-01", n, n)} }

// TestLinksAreBounded: a batch is linked to each trace once, and to 128 at most, however
// many its messages are of.
func TestLinksAreBounded(t *testing.T) {
	traces, spans := recording(t)
	b := traces.Batches().Begin(1)
	for n := range 1000 {
		of := message(map[string][]string{"traceparent": traceparentOf(1 + n/2)}) // each twice
		b.Fold(t.Context(), []projections.Decoded{of, message(nil)})
	}
	b.End(nil)
	for _, s := range spans.Ended() {
		if s.Name() == "batch" && (len(s.Links()) != maxLinks || s.DroppedLinks() > 0) {
			t.Errorf("%d links, and %d dropped", len(s.Links()), s.DroppedLinks())
		}
	}
}

// TestHostileTraceparentsAreNone: what is not right, or not sampled, gives no link, and
// reading it takes no memory.
func TestHostileTraceparentsAreNone(t *testing.T) {
	right := traceparentOf(1)[0]
	long := strings.Repeat("00-", 20_000)
	hostile := [][]string{nil, {}, {""}, {"0"}, {long}, {right + "-" + long}, {"\x00\xff"}, {"ff" + right[2:]}, {right[1:]}, {right + "0"}, {right, right},
		{strings.Replace(right, "1", "G", 1)}, {right[:53] + "00"}, {"00-" + strings.Repeat("0", 32) + right[35:]}, {right[:36] + strings.Repeat("0", 16) + "-01"}}
	traces, spans := recording(t)
	b := traces.Batches().Begin(1)
	for _, values := range hostile {
		b.Fold(t.Context(), []projections.Decoded{message(map[string][]string{"traceparent": values})})
	}
	b.End(nil)
	for _, s := range spans.Ended() {
		if len(s.Links()) > 0 {
			t.Errorf("%s has the links %v", s.Name(), s.Links())
		}
	}
	if n := testing.AllocsPerRun(100, func() { parse([]string{long}) }); n > 0 {
		t.Errorf("a long one takes %v allocations", n)
	}
}

// TestBatchTellsWhatItWrites: a batch's spans end, with what it was, or with an error but
// without its text.
func TestBatchTellsWhatItWrites(t *testing.T) {
	traces, spans := recording(t)
	b := traces.Batches().Begin(7)
	b.Fold(t.Context(), []projections.Decoded{message(nil)})
	_, done := b.Commit(t.Context(), 3, []engine.Advance{{Partition: 4, From: 10, To: 12}, {Partition: 2, From: 8, To: 20}})
	failed := errors.New("account 3c90c3cc-0d44-4b50-8888-8dd25736052a")
	done(failed)
	b.End(failed)
	got := map[string]sdktrace.ReadOnlySpan{}
	for _, s := range spans.Ended() {
		got[s.Name()] = s
	}
	if len(got) != 3 || got["fold"] == nil || got["commit"] == nil || got["batch"] == nil {
		t.Fatalf("the spans are %v", got)
	}
	if got["commit"].Parent().SpanID() != got["batch"].SpanContext().SpanID() || got["fold"].Parent().SpanID() != got["batch"].SpanContext().SpanID() {
		t.Error("fold and commit are not below the batch")
	}
	if s := got["batch"].Status(); s.Code != codes.Error || s.Description != "" || len(got["batch"].Events()) > 0 {
		t.Errorf("the batch has the status %+v and the events %v", s, got["batch"].Events())
	}
	attributes := fmt.Sprint(got["batch"].Attributes())
	for _, want := range []string{"generation", "7", "events", "3", "[2,4]", "position.after", "8", "20"} {
		if !strings.Contains(attributes, want) {
			t.Errorf("%s is not in %s", want, attributes)
		}
	}
}

// BenchmarkFold tells what following a batch costs for each message: of messages without
// a traceparent, and with one that gives a link or is one too many.
func BenchmarkFold(b *testing.B) {
	for name, header := range map[string]map[string][]string{"none": nil, "linked": {"traceparent": traceparentOf(1)}, "not right": {"traceparent": {strings.Repeat("0", 30_000)}}} {
		b.Run(name, func(b *testing.B) {
			traces, _ := recording(b)
			messages := make([]projections.Decoded, 1000)
			for i := range messages {
				messages[i] = message(header)
			}
			batch := traces.Batches().Begin(1)
			b.ReportAllocs()
			for b.Loop() {
				batch.Fold(b.Context(), messages)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(messages)), "ns/message")
		})
	}
}
