package check

import (
	"encoding/json"
	"strings"
	"testing"

	"accountexport/events"
)

const (
	someone = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
	team    = "7a90c3cc-0d44-4b50-8888-8dd25736052a"
)

// structuredEvent is an event of someone with this type and data, and further members.
func structuredEvent(id, typ, data string, more ...string) string {
	return `{"specversion":"1.0","id":"` + id + `","source":"/s","type":"controlplane.` + typ + `.v1","time":"2026-03-25T07:11:48Z","partitionkey":"` + someone +
		`","data":` + data + strings.Join(append([]string{""}, more...), ",") + `}`
}

// checked are the verdicts of an input.
func checked(t *testing.T, c *Checker, in string) (all []Verdict) {
	t.Helper()
	if err := c.File(t.Context(), "in", strings.NewReader(in), func(v Verdict) error {
		all = append(all, v)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

// dumpLine is a message as `nats sub --dump=-` writes it.
func dumpLine(t *testing.T, m events.Message) string {
	t.Helper()
	b, err := json.Marshal(struct {
		Subject, Reply string
		Header         map[string][]string
		Data           []byte
		Sub            *int
	}{Subject: m.Subject, Header: m.Header, Data: m.Data})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
