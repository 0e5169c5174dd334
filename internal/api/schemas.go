package api

import (
	"net/http"

	"github.com/gorilla/mux"

	"accountexport/events"
	"accountexport/schemas"
)

// schemasPath is what the schemas of events and document are below; indexPath
// lists them, and schemasPath itself does as well.
const (
	schemasPath = "/schemas/"
	indexPath   = schemasPath + "index.json"
)

// schemaType is the media type of a JSON Schema.
const schemaType = "application/schema+json"

var problemNoSuchType = problemNoSuchPath.with(func(p *problem) {
	p.Detail = "there is no type of event of this name; " + indexPath + " lists those that there are"
})

// routeSchemas serves package schemas, without a token, at the paths of its index.
func routeSchemas(router *mux.Router) {
	get := func(path string, h http.Handler) {
		router.Handle(path, h).Methods(http.MethodGet, http.MethodHead)
	}
	for _, path := range []string{schemasPath, indexPath} {
		get(path, fixed("application/json", schemas.Index()))
	}
	get(schemasPath+"document.json", fixed(schemaType, schemas.Document()))
	// As text, so that a browser shows it: no media type of TypeScript is registered.
	get(schemasPath+"accountexport.d.ts", fixed("text/plain; charset=utf-8", schemas.TypeScript()))
	byType := map[string]http.Handler{}
	for _, typ := range events.Types() {
		schema, _ := schemas.Event(typ)
		byType[typ] = fixed(schemaType, schema)
	}
	get(schemasPath+"events/{file}", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		typ, ok := schemas.EventFile(mux.Vars(r)["file"])
		if !ok {
			write(w, problemNoSuchType)
			return
		}
		byType[typ].ServeHTTP(w, r)
	}))
}
