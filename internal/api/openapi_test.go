package api

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"accountexport/events"
	"accountexport/internal/local/testrun"
	"accountexport/internal/workload"
	"accountexport/projections"
	"accountexport/readmodel/export"
)

var described = sync.OnceValues(func() (routers.Router, error) {
	doc, err := openapi3.NewLoader().LoadFromData(openAPI)
	if err != nil {
		return nil, err
	}
	return gorillamux.NewRouter(doc)
})

// describes validates an answer against the API's description, except problems of
// paths and methods that the description does not contain.
func (a *api) describes(t *testing.T, r *http.Request, resp *http.Response, body []byte) {
	t.Helper()
	router, err := described()
	if err != nil {
		t.Fatal(err)
	}
	r = r.Clone(t.Context())
	r.URL.Host, r.URL.Scheme = "", ""
	route, params, err := router.FindRoute(r)
	if err != nil || resp.StatusCode == http.StatusNoContent {
		return
	}
	// The documents of tests without a database have no members.
	if len(body) == 0 && resp.StatusCode == http.StatusOK && r.Method == http.MethodGet {
		return
	}
	header := resp.Header.Clone()
	body = decoded(t, header.Get("Content-Encoding"), body)
	in := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route},
		Status:                 resp.StatusCode, Header: header, Body: io.NopCloser(bytes.NewReader(body)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true, ExcludeResponseBody: r.Method == http.MethodHead || resp.StatusCode == http.StatusPartialContent || largePagesIn(body)},
	}
	if err := openapi3filter.ValidateResponse(t.Context(), in); err != nil {
		t.Errorf("%s %s answers %d, which is not as openapi.json has it: %v", r.Method, r.URL, resp.StatusCode, err)
	}
}

// describedHeaders returns the names of all headers that answers may have.
func describedHeaders(t *testing.T) map[string]bool {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(openAPI)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, path := range doc.Paths.Map() {
		for _, operation := range path.Operations() {
			for _, response := range operation.Responses.Map() {
				for name := range response.Value.Headers {
					names[name] = true
				}
			}
		}
	}
	return names
}

// largePagesIn recognises the synthetic document of [database], whose pages are no
// sandboxes.
func largePagesIn(body []byte) bool { return len(body) > 1<<20 }

func decoded(t *testing.T, coding string, body []byte) []byte {
	t.Helper()
	var r io.Reader = bytes.NewReader(body)
	var err error
	switch {
	case len(body) == 0:
	case coding == "gzip":
		r, err = gzip.NewReader(r)
	case coding == "zstd":
		var d *zstd.Decoder
		if d, err = zstd.NewReader(r); err == nil {
			defer d.Close()
			r = d
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestDescriptionIsServed(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(openAPI)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context(), openapi3.IsOpenAPI31OrLater()); err != nil {
		t.Fatal(err)
	}
	a := start(t, newMemory())
	got := a.ask(t, "GET", descriptionPath)
	if got.status != 200 || got.body != string(openAPI) || got.header.Get("Content-Type") != "application/json" {
		t.Errorf("got %d %v", got.status, got.header)
	}
	if again := a.ask(t, "GET", descriptionPath, "If-None-Match", got.header.Get("Etag")); again.status != 304 {
		t.Errorf("its own tag: %d", again.status)
	}
	checkProblem(t, a.ask(t, "GET", descriptionPath, "If-Match", `"another"`), 412, "precondition-failed")
	if again := a.ask(t, "GET", descriptionPath, "If-Match", got.header.Get("Etag")); again.status != 200 {
		t.Errorf("if it has its own tag: %d", again.status)
	}
	if other := a.ask(t, "POST", descriptionPath); other.status != 405 {
		t.Errorf("POST: %d", other.status)
	}
	problems := doc.Components.Schemas["Problem"].Value
	for _, p := range []*problem{problemTwoCredentials, problemBadQuery, problemBadPosition, problemNoCredentials, problemInvalidToken,
		problemForbidden, problemNeverHeardOf, problemMethodNotAllowed, problemNotAcceptable, problemErased, problemPrecondition, problemUnsatisfiable, problemTooMany, problemInternal,
		problemIncomplete, problemNotReached, problemBusy, problemUnavailable, problemNoKeys} {
		if problems == nil || !strings.Contains(string(openAPI), `"`+p.Type+`"`) {
			t.Errorf("%s is not described", p.Type)
		}
	}
}

func TestCodings(t *testing.T) {
	for header, want := range map[string]acceptedCodings{
		"":                                   {identity, true, true, false},
		"gzip":                               {gzipped, true, true, true},
		"gzip, deflate, br, zstd":            {zstandard, true, true, true},
		"zstd;q=0.5, gzip":                   {gzipped, true, true, true},
		"GZIP;Q=0.1":                         {gzipped, true, true, true},
		"gzip;q=0":                           {identity, true, true, false},
		"identity;q=0":                       {identity, false, false, false},
		"identity;q=0, br":                   {identity, false, false, false},
		"identity;q=0, gzip;q=0.001":         {gzipped, false, true, true},
		"*;q=0":                              {identity, false, false, false},
		"*":                                  {identity, true, true, false},
		"*;q=0, zstd":                        {zstandard, false, true, false},
		"identity;q=0, *":                    {gzipped, false, true, true},
		"gzip;q=1.0, identity; q=0.5, *;q=0": {gzipped, true, true, true},
		"gzip;q=0.5, identity":               {identity, true, true, false},
		"gzip;q=2, zstd;q=x":                 {identity, true, true, false},
		"gzip;q=0.5555":                      {identity, true, true, false},
		"br":                                 {identity, true, true, false},
		", ,gzip":                            {gzipped, true, true, true},
		"zstd, *":                            {zstandard, true, true, true},
		"zstd, gzip;q=0.9":                   {zstandard, true, true, false},
	} {
		if got := parseAcceptEncoding([]string{header}); got != want {
			t.Errorf("%q: %+v, want %+v", header, got, want)
		}
	}
}

// TestCodedDocuments: every coding yields the same document and the same tag, weak
// where the bytes differ, and HEAD the same headers.
func TestCodedDocuments(t *testing.T) {
	pool := database(t)
	a := start(t, export.NewReader(pool))
	if _, err := pool.Exec(t.Context(), `UPDATE export_g1.account_export SET sandboxes_tail =
replace($2::text, '"metadata":{}', '"metadata":{"x":"' || repeat('x', 2000) || '"}')::bytea WHERE account_id = $1`, [16]byte(complete), sandboxJSON); err != nil {
		t.Fatal(err)
	}
	for _, account := range []events.UUID{complete, somePages} {
		plain := a.ask(t, "GET", exportPath, "Authorization", bearer(t, account))
		for _, coding := range []string{"gzip", "zstd"} {
			got := a.ask(t, "GET", exportPath, "Authorization", bearer(t, account), "Accept-Encoding", coding)
			if got.header.Get("Content-Encoding") != coding || got.header.Get("Etag") != "W/"+plain.header.Get("Etag") || len(got.body) >= len(plain.body)/2 {
				t.Errorf("%s: %d bytes of %d, %v", coding, len(got.body), len(plain.body), got.header)
			}
			if string(decoded(t, coding, []byte(got.body))) != plain.body {
				t.Errorf("%s decodes to something else", coding)
			}
			head := a.ask(t, "HEAD", exportPath, "Authorization", bearer(t, account), "Accept-Encoding", coding)
			for name := range got.header {
				if name != "Date" && name != "X-Request-Id" && name != "Transfer-Encoding" && head.header.Get(name) != got.header.Get(name) {
					t.Errorf("%s: HEAD has %s %q, GET %q", coding, name, head.header.Get(name), got.header.Get(name))
				}
			}
		}
		checkProblem(t, a.ask(t, "GET", exportPath, "Authorization", bearer(t, account), "Accept-Encoding", "identity;q=0"), 406, "not-acceptable")
	}
}

// TestRandomDocumentsAreAsDescribed folds random and hostile streams and validates
// every document against the description.
func TestRandomDocumentsAreAsDescribed(t *testing.T) {
	messages := uint64(2500)
	if testrun.Long() {
		messages = 30_000
	}
	g := workload.New(testrun.Seed(t), workload.Config{Accounts: 30, HostileShare: 0.3, LargeShare: 0.01})
	fold, accounts := projections.NewFold(), map[events.UUID]bool{}
	for position := range messages {
		m := g.Next()
		if s := events.ParseSubject(m.Subject); s.Kind == events.SubjectAccount {
			accounts[s.Account] = true
		}
		_, _, err := fold.Apply(projections.Message{Position: position + 1, Message: events.Message{Subject: m.Subject, Header: m.Header, Data: m.Data}})
		if err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	a := &api{}
	for account := range accounts {
		doc, _, err := fold.Document(account)
		if err != nil {
			t.Fatal(err)
		}
		if len(doc) == 0 {
			continue
		}
		n++
		r, err := http.NewRequestWithContext(t.Context(), "GET", exportPath, nil)
		if err != nil {
			t.Fatal(err)
		}
		h := http.Header{"Content-Type": {"application/json"}}
		a.describes(t, r, &http.Response{StatusCode: 200, Header: h}, doc)
	}
	if n == 0 {
		t.Error("no document to hold against the description")
	}
}

// TestDescriptionRefusesOtherDocuments: validation against the description can fail.
func TestDescriptionRefusesOtherDocuments(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(openAPI)
	if err != nil {
		t.Fatal(err)
	}
	schema := doc.Components.Schemas["Export"].Value
	good := `{"user":` + userJSON + `,"team":` + teamJSON + `,"quota_tier":` + tierJSON + `,"quota_usage":[],"api_keys":[` + keyJSON +
		`],"sandboxes":[` + sandboxJSON + `]}`
	check := func(text string) error {
		var v any
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		return schema.VisitJSON(v, openapi3.EnableJSONSchema2020())
	}
	if err := check(good); err != nil {
		t.Error(err)
	}
	for _, change := range [][2]string{{`"is_operator":false`, `"is_operator":null`}, {`"slug":"s",`, ``}, {`"abuse_flags":{}`, `"abuse_flags":[]`},
		{`"sandboxes":[`, `"sandbox":[`}, {`"status":"pending"`, `"status":"pending","more":1`}, {`"daily_gb_hours":0.5`, `"daily_gb_hours":"0.5"`}} {
		if bad := strings.Replace(good, change[0], change[1], 1); bad == good || check(bad) == nil {
			t.Errorf("%s instead of %s is accepted", change[1], change[0])
		}
	}
}
