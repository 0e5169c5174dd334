package events_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"accountexport/events"
)

// TestFieldsAreTheContracts holds what each type says of its fields against the
// contract's table.
func TestFieldsAreTheContracts(t *testing.T) {
	kinds := map[string]events.Kind{"text": events.KindText, "id": events.KindText, "uuid": events.KindUUID, "time": events.KindTime,
		"date": events.KindDate, "integer": events.KindInteger, "decimal": events.KindDecimal, "boolean": events.KindBoolean, "object": events.KindObject}
	for short, rules := range contractTable() {
		t.Run(short, func(t *testing.T) {
			want := map[string]events.Field{}
			for name, r := range rules {
				f := events.Field{Name: name, Kind: kinds[r.kind], Required: r.field == required,
					Nullable: r.field == optional || r.field == nullable, Patch: r.field == patched || r.field == nullable}
				switch r.kind {
				case "id":
					f.Min, f.Max = 1, events.MaxID
				case "text":
					f.Max = events.MaxText
					if !f.Nullable {
						f.Min = 1
					}
				}
				if short == "quota_tier.defined.v1" && name == "id" {
					f.Kind = events.KindTierID
				}
				want[name] = f
			}
			got := map[string]events.Field{}
			for _, f := range events.Fields("controlplane." + short) {
				got[f.Name] = f
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("fields (-contract +described): %s", diff)
			}
		})
	}
	if f := events.Fields("controlplane.user.renamed.v9"); f != nil {
		t.Errorf("an unknown type has the fields %v", f)
	}
}

// TestFieldsAreThoseThatAreRead: what a random event of the type is made of is what
// is described, and what is described as required cannot be left out.
func TestFieldsAreThoseThatAreRead(t *testing.T) {
	g := newGenerator(3)
	for _, typ := range events.Types() {
		seen := map[string]bool{}
		for range 40 {
			message, _ := g.any(t, typ, g.meta(), g.uuid())
			for _, f := range events.Fields(typ) {
				with := strings.Contains(string(message.Data), `"`+f.Name+`":`)
				seen[f.Name] = seen[f.Name] || with
				if !with && f.Required {
					t.Errorf("%s was made without %s", typ, f.Name)
				}
				renamed := strings.ReplaceAll(string(message.Data), `"`+f.Name+`":`, `"`+f.Name+`_":`)
				if f.Name == "id" { // which is an attribute, too
					i := strings.Index(string(message.Data), `"data":`)
					renamed = string(message.Data[:i]) + strings.Replace(string(message.Data[i:]), `"id":`, `"id_":`, 1)
				}
				_, _, err := events.Decode(events.Message{Subject: message.Subject, Header: message.Header, Data: []byte(renamed)})
				if refused := err != nil; refused != f.Required {
					t.Errorf("%s without %s: %v, and it is required: %v", typ, f.Name, err, f.Required)
				}
			}
		}
		for _, f := range events.Fields(typ) {
			if !seen[f.Name] {
				t.Errorf("no event of type %s has %s", typ, f.Name)
			}
		}
	}
}

func ExampleFields() {
	for _, f := range events.Fields(events.TypeTeamUpdated) {
		fmt.Printf("%s: required %v, a change %v, %d to %d characters\n", f.Name, f.Required, f.Patch, f.Min, f.Max)
	}
	// Output:
	// id: required true, a change false, 0 to 0 characters
	// name: required false, a change true, 1 to 1024 characters
	// slug: required false, a change true, 1 to 1024 characters
}
