package events_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/google/go-cmp/cmp"

	"accountexport/events"
)

// sdkEvent makes an event as a producer that uses the CloudEvents Go SDK does.
func sdkEvent(t *testing.T, change func(e *event.Event) error) event.Event {
	t.Helper()
	e := event.New()
	e.SetID(`id "é" 100%`)
	e.SetSource("/control-plane/api?x=1")
	e.SetType(events.TypeSandboxStatusChanged)
	e.SetTime(time.Date(2026, 3, 25, 7, 10, 47, 777777777, time.FixedZone("", 2*3600)))
	err := e.SetData(event.ApplicationJSON, map[string]any{"id": "sbx_é", "status": "paused <&> \u2028"})
	if err == nil {
		err = change(&e)
	}
	if err == nil {
		err = e.Validate()
	}
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// sdkVariants are ways to say the same event with the SDK.
func sdkVariants() map[string]func(e *event.Event) error {
	extension := func(value any) func(e *event.Event) error {
		return func(e *event.Event) error { e.SetExtension("myextension", value); return nil }
	}
	contentType := func(s string) func(e *event.Event) error {
		return func(e *event.Event) error { e.SetDataContentType(s); return nil }
	}
	return map[string]func(e *event.Event) error{
		"plain": func(*event.Event) error { return nil },
		"subject and schema": func(e *event.Event) error {
			e.SetSubject("sbx é")
			e.SetDataSchema("https://example.com/s#é")
			return nil
		},
		"text extension":          extension("a \"text\" of 100 % é😀"),
		"integer extension":       extension(int32(-7)),
		"boolean extension":       extension(true),
		"bytes extension":         extension([]byte{0, 255}),
		"time extension":          extension(time.Unix(0, 1)),
		"address extension":       extension(&url.URL{Scheme: "https", Host: "example.com", Path: "/é"}),
		"partition key":           func(e *event.Event) error { e.SetExtension("partitionkey", sdkAccount); return nil },
		"content type with set":   contentType("application/json; charset=utf-8"),
		"content type upper case": contentType("Application/JSON"),
		"text/json":               contentType("text/json"),
		"raw data": func(e *event.Event) error {
			return e.SetData("application/json", json.RawMessage("{\"status\": \"paused <&> \\u2028\",\n \"id\": \"sbx_\\u00e9\"}"))
		},
		"without data content type": func(e *event.Event) error {
			e.DataEncoded = []byte(`{"id":"sbx_é","status":"paused <&> \u2028"}`)
			e.Context = e.Context.Clone()
			return e.Context.SetDataContentType("")
		},
	}
}

const sdkAccount = "64c38c41-1961-4698-82a7-af9eab79b005"

// TestSDKEventsAreAccepted sends the same event by every way that the SDK has.
func TestSDKEventsAreAccepted(t *testing.T) {
	at, err := events.ParseTime("2026-03-25T05:10:47.777777Z")
	if err != nil {
		t.Fatal(err)
	}
	want := events.Event{ID: `id "é" 100%`, Source: "/control-plane/api?x=1", Type: events.TypeSandboxStatusChanged, Time: at, Sound: true,
		Data: &events.SandboxStatusChanged{ID: "sbx_é", Status: "paused <&> \u2028"}}
	for name, change := range sdkVariants() {
		t.Run(name, func(t *testing.T) {
			e := sdkEvent(t, change)
			payload, err := json.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			messages := map[string]events.Message{
				"structured without headers": {Data: payload},
				"structured by JSON": {Header: map[string][]string{"content-type": {event.ApplicationCloudEventsJSON}},
					Data: payload},
				"structured by the HTTP binding": overHTTP(t, e, binding.WithForceStructured),
				"binary by the HTTP binding":     overHTTP(t, e, binding.WithForceBinary),
				"binary with lower-case names":   overHTTP(t, e, binding.WithForceBinary),
				"binary, percent-encoded":        percentEncoded(overHTTP(t, e, binding.WithForceBinary)),
			}
			lower := messages["binary with lower-case names"]
			for key, values := range lower.Header {
				delete(lower.Header, key)
				lower.Header[strings.ToLower(key)] = values
			}
			for how, m := range messages {
				m.Subject = "controlplane.account." + sdkAccount
				got, _, err := events.Decode(m)
				if diff := cmp.Diff(want, got); err != nil || diff != "" {
					t.Errorf("%s: %v (-want +got):\n%s\n%v\n%s", how, err, diff, m.Header, m.Data)
				}
			}
			if binary, err := (events.Message{Subject: "controlplane.account." + sdkAccount, Data: payload}).Binary(); err != nil {
				t.Error(err)
			} else if got, _, err := events.Decode(binary); err != nil || cmp.Diff(want, got) != "" {
				t.Errorf("made binary: %v\n%s\n%v", err, cmp.Diff(want, got), binary.Header)
			}
		})
	}
}

// TestSDKSuffixContentType: with a content type such as application/x+json the
// SDK writes structured data as a JSON string. That is no JSON object, so it is
// refused; the same event in binary mode is sound.
func TestSDKSuffixContentType(t *testing.T) {
	e := sdkEvent(t, func(e *event.Event) error { e.SetDataContentType("application/vnd.example.v1+json"); return nil })
	structured, binary := overHTTP(t, e, binding.WithForceStructured), overHTTP(t, e, binding.WithForceBinary)
	structured.Subject, binary.Subject = "controlplane.account."+sdkAccount, "controlplane.account."+sdkAccount
	var reason *events.Invalid
	if _, _, err := events.Decode(structured); !errors.As(err, &reason) || reason.Field != "data" {
		t.Errorf("structured: %v, want something about data\n%s", err, structured.Data)
	}
	if _, _, err := events.Decode(binary); err != nil {
		t.Errorf("binary: %v", err)
	}
}

// overHTTP writes an event by the SDK's HTTP binding, whose headers are those
// of the NATS binding.
func overHTTP(t *testing.T, e event.Event, mode func(context.Context) context.Context) events.Message {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://localhost", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := cehttp.WriteRequest(mode(t.Context()), binding.ToMessage(&e), r); err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return events.Message{Header: r.Header, Data: data}
}

// percentEncoded escapes a message's ce- headers as the bindings prescribe,
// which this SDK leaves out; of the characters that need no escape it escapes
// some too, as it may.
func percentEncoded(m events.Message) events.Message {
	for key, values := range m.Header {
		if strings.HasPrefix(key, "Ce-") {
			m.Header[key] = []string{url.PathEscape(values[0])}
		}
	}
	return m
}
