package schemas

import (
	"embed"
	"strings"

	"accountexport/events"
)

//go:generate go run generate.go

//go:embed index.json document.json accountexport.d.ts events/*.json
var files embed.FS

// Document is the schema of the export document.
func Document() []byte { return read("document.json") }

// Index says where the schemas are below the path at which the API serves it:
// document, typescript and, by type, events.
func Index() []byte { return read("index.json") }

// TypeScript is a declaration of every event and of the document.
func TypeScript() []byte { return read("accountexport.d.ts") }

// Event is the schema of the events of a type, named in full; false where the type
// is not known.
func Event(typ string) ([]byte, bool) {
	if !events.Known(typ) {
		return nil, false
	}
	return read("events/" + typ + ".json"), true
}

// EventFile is the type that a file's name stands for, such as
// controlplane.user.registered.v1.json, or user.registered.v1.json for short; false
// where that is no known type's.
func EventFile(name string) (typ string, ok bool) {
	typ, ok = strings.CutSuffix(name, ".json")
	if !events.Known(typ) {
		typ = "controlplane." + typ
	}
	return typ, ok && events.Known(typ)
}

func read(name string) []byte {
	b, err := files.ReadFile(name)
	if err != nil {
		panic(err) // a file of this package, which its tests have read
	}
	return b
}
