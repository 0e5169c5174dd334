package api

import (
	"encoding/json"
	"strings"
	"testing"

	"accountexport/events"
	"accountexport/schemas"
)

// TestSchemasAreServed: everything that the list of schemas names is at its place,
// to everybody, and so is each event's schema by its short name.
func TestSchemasAreServed(t *testing.T) {
	const origin = "https://app.example.com"
	a := startWith(t, newMemory(), sharedVerifier(t), func(c *Config) { c.Origins = []string{origin} })
	var list struct {
		Document, TypeScript string
		Events               map[string]string
	}
	served := a.ask(t, "GET", indexPath)
	if other := a.ask(t, "GET", schemasPath); other.body != served.body {
		t.Errorf("%s and %s differ", indexPath, schemasPath)
	}
	if err := json.Unmarshal([]byte(served.body), &list); err != nil || served.header.Get("Content-Type") != "application/json" {
		t.Fatal(err, served.header)
	}
	if len(list.Events) != len(events.Types()) {
		t.Errorf("%d events are listed, and there are %d", len(list.Events), len(events.Types()))
	}
	check := func(path, contentType string, content []byte) {
		t.Helper()
		got := a.ask(t, "GET", path, "Origin", origin)
		if got.status != 200 || got.body != string(content) || got.header.Get("Content-Type") != contentType || len(content) == 0 ||
			got.header.Get("Cache-Control") != "public, max-age=300" || got.header.Get("Access-Control-Allow-Origin") != origin {
			t.Errorf("%s: %d %v", path, got.status, got.header)
		}
		tag := got.header.Get("Etag")
		if again := a.ask(t, "GET", path, "If-None-Match", tag); again.status != 304 || again.header.Get("Etag") != tag || tag == "" {
			t.Errorf("%s has the tag %q, and asked with it: %d", path, tag, again.status)
		}
		if head := a.ask(t, "HEAD", path); head.status != 200 || head.body != "" || head.header.Get("Content-Length") != got.header.Get("Content-Length") ||
			head.header.Get("Etag") != tag {
			t.Errorf("HEAD %s: %d %v", path, head.status, head.header)
		}
	}
	check(schemasPath+list.Document, "application/schema+json", schemas.Document())
	check(schemasPath+list.TypeScript, "text/plain; charset=utf-8", schemas.TypeScript())
	for typ, path := range list.Events {
		schema, _ := schemas.Event(typ)
		check(schemasPath+path, "application/schema+json", schema)
		check(schemasPath+"events/"+events.ShortType(typ)+".json", "application/schema+json", schema)
	}
	document := schemasPath + list.Document
	checkProblem(t, a.ask(t, "GET", document, "If-Match", `"another"`), 412, "precondition-failed")
	checkProblem(t, a.ask(t, "POST", document), 405, "method-not-allowed")
}

// TestSchemasThatThereAreNot: no other name is one, and the log does not repeat it.
func TestSchemasThatThereAreNot(t *testing.T) {
	a := start(t, newMemory())
	for _, name := range []string{"events/controlplane.user.renamed.v9.json", "events/controlplane.user.restored.v1", "events/hunter2.json", "events/",
		"events", "index", "events/x/controlplane.user.restored.v1.json", "events/%2e%2e%2fdocument.json", "../openapi.json", "document.json/"} {
		checkProblem(t, a.ask(t, "GET", schemasPath+name), 404, "no-such-path")
	}
	if said := a.log.String(); strings.Contains(said, "hunter2") || !strings.Contains(said, schemasPath) {
		t.Errorf("the log says %s", said)
	}
}
