package main

import (
	"context"
	"testing"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/trace"

	"accountexport/events"
	"accountexport/exporttest"
)

// TestSignUpIsExported: an account that signs up has an export, as users are served it.
func TestSignUpIsExported(t *testing.T) {
	x := exporttest.Start(t)
	plane := controlPlane{js: x.JetStream}
	if _, err := plane.defineTier(t.Context(), events.QuotaTierDefined{ID: "free", DisplayName: "Free"}); err != nil {
		t.Fatal(err)
	}
	account := events.NewUUID()
	position, err := plane.signUp(t.Context(), account, "ada@example.org", "free")
	if err != nil {
		t.Fatal(err)
	}
	doc := x.Export(t, account, exporttest.After(position))
	var d struct {
		User struct{ Email string }
		Team struct {
			QuotaTierID string `json:"quota_tier_id"`
		}
	}
	doc.Decode(t, &d)
	if d.User.Email != "ada@example.org" || d.Team.QuotaTierID != "free" || doc.Parked != 0 {
		t.Errorf("the export is %s", doc.JSON)
	}
}

// TestEmailIsRequired: what the projector would park is not published.
func TestEmailIsRequired(t *testing.T) {
	x := exporttest.Start(t)
	account := events.NewUUID()
	if _, err := (controlPlane{js: x.JetStream}).signUp(t.Context(), account, "", "free"); err == nil {
		t.Error("signed up without an e-mail address")
	}
	if a := x.Get(t, account); a.Status != 404 {
		t.Errorf("the account was heard of: %d %s", a.Status, a.Body)
	}
}

// TestATraceIsPassedOn: an event that is published within a trace names it.
func TestATraceIsPassedOn(t *testing.T) {
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled})
	for ctx, want := range map[context.Context]string{
		t.Context(): "",
		trace.ContextWithSpanContext(t.Context(), span): "00-01000000000000000000000000000000-0200000000000000-01",
	} {
		header := nats.Header{}
		passTraceOn(ctx, header)
		if got := header.Get("traceparent"); got != want {
			t.Errorf("the header is %v, want %q", header, want)
		}
	}
}
