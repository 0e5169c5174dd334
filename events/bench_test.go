package events_test

import (
	"testing"

	"accountexport/events"
)

// BenchmarkDecode decodes one usual event of about 300 bytes in either mode.
func BenchmarkDecode(b *testing.B) {
	account, err := events.ParseUUID("64c38c41-1961-4698-82a7-af9eab79b005")
	if err != nil {
		b.Fatal(err)
	}
	meta := events.Meta{ID: "e-1000-17", Source: "/control-plane/api", Time: 1_774_422_647_777_000}
	structured, err := events.NewSandboxStatusChanged(meta, account,
		events.SandboxStatusChanged{ID: "sbx_01J9ZQ4Y0Q8W", Status: "paused"})
	if err != nil {
		b.Fatal(err)
	}
	binary, err := structured.Binary()
	if err != nil {
		b.Fatal(err)
	}
	metadata, err := events.NewSandboxCreated(meta, account, events.SandboxCreated{ID: "sbx_01J9ZQ4Y0Q8W", Template: "base",
		Metadata: []byte(`{"owner":"ada","purpose":"nightly build","limits":{"cpu":2,"memory_gb":4.0}}`)})
	if err != nil {
		b.Fatal(err)
	}
	for _, bench := range []struct {
		name string
		m    events.Message
	}{{"structured", structured}, {"binary", binary}, {"structured with metadata", metadata}} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(bench.m.Data)))
			for b.Loop() {
				if _, _, err := events.Decode(bench.m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
