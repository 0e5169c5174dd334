package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"accountexport/events"
	"accountexport/internal/auth"
	"accountexport/readmodel"
)

// readTimeout bounds how long the database may take to find a document. (How
// long its pages may take is bounded by the server's WriteTimeout.)
const readTimeout = 5 * time.Second

// exportHandler answers GET and HEAD of an account's export.
type exportHandler struct {
	exports  exports
	verifier verifier
	metrics  *metrics
	log      *slog.Logger
}

func (e *exportHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Add("Vary", "Authorization") // of every answer, since every answer depends on it
	err := e.serve(w, r)
	if err == nil {
		return
	}
	p := problemOf(err)
	if p == problemUnavailable && r.Context().Err() == nil {
		e.log.Error("cannot read an export", "error", err, "request", requestID(w))
	}
	write(w, p)
}

// serve answers, or returns why it did not begin to.
func (e *exportHandler) serve(w http.ResponseWriter, r *http.Request) error {
	id, err := e.authenticate(r)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	found := time.AfterFunc(readTimeout, cancel)
	if tags := r.Header["If-None-Match"]; len(tags) > 0 {
		m, err := e.exports.Meta(ctx, id.Account)
		if err != nil {
			return err
		}
		if err := problemOfState(m); err != nil {
			return err
		}
		if etag := m.ETag(); anyMatches(tags, etag) {
			found.Stop()
			validators(w.Header(), etag)
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
	}
	doc, err := e.exports.Open(ctx, id.Account)
	if err != nil {
		return err
	}
	defer doc.Close()
	if !found.Stop() {
		return errors.New("the database took too long")
	}
	if err := problemOfState(doc.Meta); err != nil {
		return err
	}
	describe(w.Header(), &doc.Meta, doc.Size(), id.Account)
	if r.Method == http.MethodHead {
		w.WriteHeader(http.StatusOK)
		return nil
	}
	n, err := doc.WriteTo(w)
	if err != nil && n == 0 {
		undescribe(w.Header())
		return err
	}
	if err != nil {
		if r.Context().Err() == nil {
			e.log.Warn("an export was broken off", "error", err, "sent_bytes", n, "request", requestID(w))
		}
		panic(http.ErrAbortHandler) // the client sees a broken connection, not a shorter document
	}
	e.metrics.bytes.Observe(float64(n))
	return nil
}

// authenticate takes the token from the request (RFC 6750 §2.1; the scheme's
// case does not matter). Another scheme is no credentials for this API.
func (e *exportHandler) authenticate(r *http.Request) (auth.Identity, error) {
	headers := r.Header["Authorization"]
	if len(headers) > 1 {
		return auth.Identity{}, problemTwoCredentials
	}
	if len(headers) == 0 {
		return auth.Identity{}, problemNoCredentials
	}
	scheme, token, _ := strings.Cut(headers[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return auth.Identity{}, problemNoCredentials
	}
	id, err := e.verifier.Verify(r.Context(), strings.Trim(token, " "))
	if err != nil {
		var f *auth.Failure
		if errors.As(err, &f) {
			e.metrics.tokenFailures.WithLabelValues(f.Reason).Inc()
		}
		return auth.Identity{}, err
	}
	return id, nil
}

// cacheControl is shared by all answers and never changed.
var cacheControl = []string{"private, no-cache"}

// validators are the headers that a 304 repeats, beside Vary.
func validators(h http.Header, etag string) {
	h["Cache-Control"] = cacheControl
	h["Etag"] = []string{etag}
}

func describe(h http.Header, m *readmodel.Meta, size int64, account events.UUID) {
	validators(h, m.ETag())
	values := make([]string, 5) // one allocation for all
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
	if size >= 0 {
		set("Content-Length", strconv.FormatInt(size, 10))
	}
	h["Content-Type"] = contentType
}

// undescribe takes off what a problem must not carry and does not overwrite.
func undescribe(h http.Header) {
	for _, name := range []string{"Etag", "Export-Position", "Export-As-Of", "Export-Parked", "Content-Disposition"} {
		delete(h, name)
	}
}

// contentType is shared by all documents and never changed.
var contentType = []string{"application/json"}

// fileName names the day that the export is of, or the account as long as the
// projector has not said as of when.
func fileName(m *readmodel.Meta, account events.UUID) string {
	if m.AsOf.Unix() <= 0 {
		return "account-export-" + account.String() + ".json"
	}
	return "account-export-" + m.AsOf.UTC().Format(time.DateOnly) + ".json"
}
