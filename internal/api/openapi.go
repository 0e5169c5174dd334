package api

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"net/http"
	"strconv"
)

// descriptionPath is the path of the API's OpenAPI description.
const descriptionPath = "/openapi.json"

// openAPI is the description of the API (OpenAPI 3.1).
//
//go:embed openapi.json
var openAPI []byte

// fixed serves content that stays the same while the program runs, without a token.
func fixed(contentType string, content []byte) http.Handler {
	sum := sha256.Sum256(content)
	etag := `"` + hex.EncodeToString(sum[:8]) + `"`
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Etag", etag)
		h.Set("Cache-Control", "public, max-age=300")
		if tags := r.Header["If-Match"]; len(tags) > 0 && !anyMatches(tags, etag, strongly) {
			h.Del("Etag")
			write(w, problemPrecondition)
			return
		}
		if anyMatches(r.Header["If-None-Match"], etag, weakly) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		h.Set("Content-Type", contentType)
		h.Set("Content-Length", strconv.Itoa(len(content)))
		w.WriteHeader(http.StatusOK)
		_, _ = w.Write(content) // a client that is gone needs no answer
	})
}
