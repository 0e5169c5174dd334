package schemas_test

import (
	"bytes"
	"os"
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
