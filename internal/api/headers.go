package api

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"accountexport/events"
	"accountexport/readmodel/export"
)

// vary is shared by all answers: it must not be changed or appended to.
var vary = slices.Clip([]string{"Authorization, Accept-Encoding"})

// removeDocumentHeaders removes the headers of a document that will not be sent, and returns err.
func removeDocumentHeaders(h http.Header, err error) error {
	for _, name := range []string{"Etag", "Export-Position", "Export-As-Of", "Export-Parked", "Content-Disposition", "Content-Encoding",
		"Content-Length", "Content-Range", "Accept-Ranges"} {
		delete(h, name)
	}
	return err
}

// cacheControl is shared by all answers and must not be changed.
var cacheControl = []string{"private, no-cache"}

// setValidators sets the headers that a 304 repeats, beside Vary.
func setValidators(h http.Header, etag string, c coding) {
	if c != identity {
		etag = "W/" + etag // the same document in other bytes
	}
	h["Cache-Control"] = cacheControl
	h["Etag"] = []string{etag}
}

// setDocumentHeaders sets the headers of a document that is sent in the coding.
func setDocumentHeaders(h http.Header, m *export.Meta, account events.UUID, c coding) {
	setValidators(h, m.ETag(), c)
	values := make([]string, 4) // one allocation for all of them
	set := func(name, value string) {
		values[0] = value
		h[name], values = values[:1:1], values[1:]
	}
	set("Export-Position", strconv.FormatUint(m.Position, 10))
	set("Export-As-Of", m.AsOf.UTC().Format(time.RFC3339Nano))
	set("Content-Disposition", `attachment; filename="`+fileName(m, account)+`"`)
	if n := m.Parked - m.Dismissed; n > 0 {
		set("Export-Parked", strconv.Itoa(n))
	}
	h["Content-Type"] = contentType
}

// Shared by all documents; they must not be changed.
var (
	contentType  = []string{"application/json"}
	acceptRanges = []string{"bytes"}
)

// fileName contains the date of the export, or the account's id while the projector
// has not yet recorded as of when the export is.
func fileName(m *export.Meta, account events.UUID) string {
	if m.AsOf.Unix() <= 0 {
		return "account-export-" + account.String() + ".json"
	}
	return "account-export-" + m.AsOf.UTC().Format(time.DateOnly) + ".json"
}
