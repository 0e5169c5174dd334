package schemas_test

import (
	"bytes"
	"encoding/base64"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"accountexport/events"
	"accountexport/schemas"
)

const documentID = "urn:account-export:schema:document"

func eventID(typ string) string { return "urn:account-export:schema:" + typ }

// text is what is held against a schema.
type text struct {
	schema string
	json   []byte
}

// compiled are the schemas as the validator in Go reads them, each of which it has
// held against the one of JSON Schema itself.
var compiled = sync.OnceValues(func() (map[string]*jsonschema.Schema, error) {
	all := map[string][]byte{documentID: schemas.Document()}
	for _, typ := range events.Types() {
		all[eventID(typ)], _ = schemas.Event(typ)
	}
	c := jsonschema.NewCompiler()
	out := map[string]*jsonschema.Schema{}
	for id, schema := range all {
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
		if err != nil {
			return nil, err
		}
		if err := c.AddResource(id, v); err != nil {
			return nil, err
		}
		if out[id], err = c.Compile(id); err != nil {
			return nil, err
		}
	}
	return out, nil
})

// inGo says what the validator in Go has against a text; nil where it has nothing.
func inGo(t testing.TB, x text) error {
	t.Helper()
	all, err := compiled()
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(x.json))
	if err != nil {
		return err
	}
	return all[x.schema].Validate(v)
}

// ajv is the validator in JavaScript, in its folder.
type ajv string

func newAjv(t *testing.T) ajv { return ajv(npm(t)) }

// accepts tells for each text what ajv says, and what it says with formats judged.
func (dir ajv) accepts(t *testing.T, all []text) (plain, formats []bool) {
	t.Helper()
	var lines bytes.Buffer
	for _, x := range all {
		lines.WriteString(x.schema + " " + base64.StdEncoding.EncodeToString(x.json) + "\n")
	}
	args := []string{"validate.mjs"}
	for _, name := range servedFiles(t) {
		if filepath.Ext(name) == ".json" && name != "index.json" {
			path, err := filepath.Abs(name)
			if err != nil {
				t.Fatal(err)
			}
			args = append(args, path)
		}
	}
	out, err := in(t, string(dir), lines.Bytes(), "node", args...)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	answers := strings.Fields(out)
	if len(answers) != len(all) {
		t.Fatalf("%d answers for %d texts", len(answers), len(all))
	}
	for _, a := range answers {
		plain, formats = append(plain, a[0] == '1'), append(formats, a[1] == '1')
	}
	return plain, formats
}
