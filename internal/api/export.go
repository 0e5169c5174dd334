package api

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"accountexport/events"
	"accountexport/internal/auth"
	"accountexport/readmodel"
)

// exportHandler answers GET and HEAD of an account's export.
type exportHandler struct {
	Config
	metrics  *metrics
	encoders *encoders
	limit    *limiter[events.UUID]
}

func (e *exportHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h["Vary"] = append(h["Vary"], vary...) // of every answer, since every answer depends on it
	err := e.serve(w, r)
	if err == nil {
		return
	}
	p := problemOf(err)
	if p == problemUnavailable && r.Context().Err() == nil {
		e.Logger.Error("cannot read an export", "error", err, "request", requestID(w))
	}
	write(w, p)
}

// vary is never changed.
var vary = []string{"Authorization, Accept-Encoding"}

// serve answers, or returns why it did not begin to.
func (e *exportHandler) serve(w http.ResponseWriter, r *http.Request) error {
	id, err := e.authenticate(r)
	if err != nil {
		return err
	}
	if err := e.limit.allow(w.Header(), id.Account); err != nil {
		return err
	}
	if err := e.await(w, r, id.Account); err != nil {
		return err
	}
	if tags := r.Header["If-None-Match"]; len(tags) > 0 {
		m, err := e.Exports.Meta(r.Context(), id.Account)
		if err != nil {
			return err
		}
		if err := problemOfState(m); err != nil {
			return err
		}
		if etag := m.ETag(); anyMatches(tags, etag) {
			validators(w.Header(), etag)
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
	}
	codings := accepts(r.Header["Accept-Encoding"])
	doc, err := e.Exports.Open(r.Context(), id.Account)
	if err != nil {
		return err
	}
	defer doc.Close()
	if err := problemOfState(doc.Meta); err != nil {
		return err
	}
	if !codings.any {
		return problemNotAcceptable
	}
	describe(w.Header(), &doc.Meta, id.Account)
	return e.send(w, r, doc, codings.of(doc.Size()))
}

// await waits for min_position, as long as the client prefers to.
func (e *exportHandler) await(w http.ResponseWriter, r *http.Request, account events.UUID) error {
	position, err := minPosition(r.URL.RawQuery)
	if err != nil || position == 0 {
		return err
	}
	wait, preferred := preferredWait(r.Header["Prefer"])
	if preferred {
		w.Header().Set("Preference-Applied", "wait="+strconv.Itoa(int(wait/time.Second)))
	}
	at, reached, err := e.Waits.For(r.Context(), account, position, wait)
	if err != nil || reached {
		return err
	}
	return problemNotReached.with(func(p *problem) { p.Position, p.MinPosition = &at, &position })
}

// send sends a document. A short one goes out as a whole, with its length; one
// of many pages piece by piece, at the client's pace.
func (e *exportHandler) send(w http.ResponseWriter, r *http.Request, doc *readmodel.Document, c coding) error {
	h := w.Header()
	setCoding(h, c)
	size := doc.Size()
	if size >= 0 && c != identity {
		var short bytes.Buffer
		if _, err := e.encoders.encode(c, &short, doc); err != nil {
			return err // cannot be: nothing here fails
		}
		h["Content-Length"] = []string{strconv.Itoa(short.Len())}
		w.WriteHeader(http.StatusOK)
		_, _ = w.Write(short.Bytes()) // a client that has left needs no answer
		e.metrics.bytes.Observe(float64(size))
		return nil
	}
	if size >= 0 {
		h["Content-Length"] = []string{strconv.FormatInt(size, 10)}
	}
	if r.Method == http.MethodHead {
		w.WriteHeader(http.StatusOK)
		return nil
	}
	to := io.Writer(w)
	if size < 0 {
		to = newPaced(w, e.WriteTimeout)
	}
	n, err := e.encoders.encode(c, to, doc)
	if err != nil {
		if r.Context().Err() == nil {
			e.Logger.Warn("an export was broken off", "error", err, "bytes", n, "request", requestID(w))
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
	id, err := e.Verifier.Verify(r.Context(), strings.Trim(token, " "))
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

func describe(h http.Header, m *readmodel.Meta, account events.UUID) {
	validators(h, m.ETag())
	values := make([]string, 4) // one allocation for all
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
