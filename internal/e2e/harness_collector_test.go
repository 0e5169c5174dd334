package e2e

import (
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// collector takes traces by OTLP over HTTP, as the programs send them.
type collector struct {
	*httptest.Server

	mu    sync.Mutex // guards what follows
	spans []*span
	sent  http.Header // of the last request
}

// span is a span as it came, and the name of the program that it is of.
type span struct {
	*tracepb.Span
	service string
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var data tracepb.TracesData
		if err == nil {
			err = proto.Unmarshal(body, &data)
		}
		if err != nil || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
			t.Errorf("the collector got %s %s: %v", r.Method, r.URL.Path, err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.sent = r.Header
		for _, program := range data.ResourceSpans {
			service := ""
			for _, a := range program.Resource.Attributes {
				if a.Key == "service.name" {
					service = a.Value.GetStringValue()
				}
			}
			for _, scope := range program.ScopeSpans {
				for _, s := range scope.Spans {
					c.spans = append(c.spans, &span{s, service})
				}
			}
		}
	}))
	t.Cleanup(c.Close)
	return c
}

// all are the spans so far for which is holds.
func (c *collector) all(is func(*span) bool) (out []*span) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.spans {
		if is(s) {
			out = append(out, s)
		}
	}
	return out
}

// children are the spans right below another.
func (c *collector) children(of *span) []*span {
	return c.all(func(s *span) bool {
		return string(s.ParentSpanId) == string(of.SpanId) && string(s.TraceId) == string(of.TraceId)
	})
}

// below are the spans below another, at any depth.
func (c *collector) below(of *span) (out []*span) {
	for _, s := range c.children(of) {
		out = append(append(out, s), c.below(s)...)
	}
	return out
}

// text is an attribute.
func (s *span) text(key string) string {
	for _, a := range s.Attributes {
		if a.Key == key {
			return a.Value.GetStringValue()
		}
	}
	return ""
}

// traceparent is how the span is passed on.
func (s *span) traceparent() string {
	return "00-" + hex.EncodeToString(s.TraceId) + "-" + hex.EncodeToString(s.SpanId) + "-01"
}

// linkedTo tells whether the span has a link to another.
func (s *span) linkedTo(other *span) bool {
	for _, l := range s.Links {
		if string(l.SpanId) == string(other.SpanId) && string(l.TraceId) == string(other.TraceId) {
			return true
		}
	}
	return false
}

// String is all that the span says.
func (s *span) String() string { return s.service + " " + protojson.Format(s.Span) }
