package schemas_test

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"accountexport/events"
	"accountexport/schemas"
	"accountexport/schemas/internal/generate"
)

// TestFilesAreUpToDate: they are what the code and the API's description say now.
func TestFilesAreUpToDate(t *testing.T) {
	t.Parallel()
	description, err := os.ReadFile("../internal/api/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	want, err := generate.Files(description)
	if err != nil {
		t.Fatal(err)
	}
	there := servedFiles(t)
	if len(there) != len(want) {
		t.Errorf("there are %d files, %d are generated; run go generate ./schemas", len(there), len(want))
	}
	for _, file := range there {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(text, want[file]) {
			t.Errorf("%s is out of date; run go generate ./schemas", file)
		}
	}
}

func TestEventsAreFoundByTheirType(t *testing.T) {
	t.Parallel()
	for _, typ := range events.Types() {
		schema, ok := schemas.Event(typ)
		if !ok || !bytes.Contains(schema, []byte(`"const": "`+typ+`"`)) {
			t.Errorf("%s: %v, %.100s", typ, ok, schema)
		}
		for _, name := range []string{typ + ".json", events.ShortType(typ) + ".json"} {
			if got, ok := schemas.EventFile(name); got != typ || !ok {
				t.Errorf("%s is the file of %q, %v", name, got, ok)
			}
		}
	}
	for _, name := range []string{"", ".json", "controlplane.user.restored.v1", "controlplane.user.renamed.v9.json", "../document.json",
		"controlplane.controlplane.user.restored.v1.json", "CONTROLPLANE.user.restored.v1.json"} {
		if _, ok := schemas.EventFile(name); ok {
			t.Errorf("%q is a file", name)
		}
	}
	if _, ok := schemas.Event("user.restored.v1"); ok {
		t.Error("a short type is a type")
	}
}

// TestEventsAreExplained: each type and field has words, a number its unit, and each
// type an example with all of its fields, which the decoder and the schema accept.
func TestEventsAreExplained(t *testing.T) {
	t.Parallel()
	type property struct {
		Description string
		Type        any
		Properties  map[string]property
	}
	for _, typ := range events.Types() {
		raw, _ := schemas.Event(typ)
		var schema struct {
			property
			Title    string
			Examples []json.RawMessage
		}
		if err := json.Unmarshal(raw, &schema); err != nil {
			t.Fatal(err)
		}
		data := schema.Properties["data"].Properties
		if len(schema.Title) < 10 || len(schema.Description) < 60 || len(data) != len(events.Fields(typ)) {
			t.Errorf("%s: %q, %q, and %d fields", typ, schema.Title, schema.Description, len(data))
		}
		for _, properties := range []map[string]property{schema.Properties, data} {
			for name, p := range properties {
				number := p.Type == "integer" || p.Type == "number"
				if len(p.Description) < 8 || number && !strings.Contains(p.Description, "number of") && !strings.Contains(p.Description, "gigabyte-hours") {
					t.Errorf("%s of %s is described as %q", name, typ, p.Description)
				}
			}
		}
		if len(schema.Examples) != 1 {
			t.Fatalf("%s has %d examples", typ, len(schema.Examples))
		}
		m, err := events.Address(schema.Examples[0])
		if err != nil {
			t.Errorf("the example of %s: %v", typ, err)
			continue
		}
		j := judge(t, m)
		if err := inGo(t, j.text); err != nil || j.event.Data == nil {
			t.Errorf("the example of %s: %v", typ, err)
		}
		var example struct{ Data map[string]any }
		if err := json.Unmarshal(schema.Examples[0], &example); err != nil {
			t.Fatal(err)
		}
		for _, f := range events.Fields(typ) {
			if _, there := example.Data[f.Name]; !there {
				t.Errorf("the example of %s has no %s", typ, f.Name)
			}
		}
	}
}
