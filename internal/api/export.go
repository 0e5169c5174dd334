package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"accountexport/events"
	"accountexport/internal/auth"
	"accountexport/readmodel/export"
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
	if h["Vary"] == nil { // of every answer, since every answer depends on it
		h["Vary"] = vary
	} else {
		h["Vary"] = append(h["Vary"], vary...)
	}
	err := e.serve(w, r)
	if err == nil {
		return
	}
	if r.Context().Err() != nil && errors.Is(err, context.Canceled) {
		panic(errLeft) // who has left hears no answer, and it would say nothing of us
	}
	p := problemOf(err)
	switch p {
	case problemUnavailable, problemNotSetUp, problemNoRoom:
		e.Logger.Error("cannot read an export", "error", err, "request", requestID(w))
	case problemBusy:
		e.Logger.Warn("too busy for an export", "error", err, "request", requestID(w))
	}
	write(w, p)
}

// vary is never changed, nor appended to.
var vary = slices.Clip([]string{"Authorization, Accept-Encoding"})

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
	p := newPart(r)
	// What would not be answered with a document is not conditional (RFC 9110
	// §13.2.1).
	match, unless := r.Header["If-Match"], r.Header["If-None-Match"]
	if len(match)+len(unless) > 0 && p.codings.any {
		m, err := e.Exports.Meta(r.Context(), id.Account)
		if err != nil {
			return err
		}
		if err := problemOfState(m); err != nil {
			return err
		}
		etag := m.ETag()
		if len(match) > 0 && !anyMatches(match, etag, strongly) {
			return problemPrecondition
		}
		if anyMatches(unless, etag, weakly) {
			validators(w.Header(), etag, p.codings.preferred)
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
	}
	for tries := 1; ; tries++ {
		if err = e.document(w, r, p, id.Account); err == nil || tries == mostTries || r.Context().Err() != nil || !export.IsTransient(err) {
			return err
		}
	}
}

// mostTries is how often a document is opened of which nothing could be sent, since
// it has become another while its reading was cut off.
const mostTries = 3

// document opens the document and sends it, or returns why it did not begin to.
func (e *exportHandler) document(w http.ResponseWriter, r *http.Request, p *representation, account events.UUID) error {
	doc, err := e.Exports.OpenRange(r.Context(), account, p.choice())
	if err != nil {
		return err
	}
	defer doc.Close()
	if err := problemOfState(doc.Meta); err != nil {
		return err
	}
	if !p.codings.any {
		return problemNotAcceptable
	}
	if match := r.Header["If-Match"]; len(match) > 0 && !anyMatches(match, doc.ETag(), strongly) { // it has changed since
		return problemPrecondition
	}
	p.decide(&doc.Meta, doc.Size())
	return e.send(w, r, doc, p, account)
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
	at, reached, err := e.Waiter.WaitFor(r.Context(), account, position, wait)
	if err != nil || reached {
		return err
	}
	return problemNotReached.with(func(p *problem) { p.Position, p.MinPosition = &at, &position })
}

// codedWhole is how long a document is at most, in bytes, that is compressed
// before it is sent, so that the answer's length is known and no encoder is
// held at the client's pace.
const codedWhole = 64 << 10

// send sends a document, or returns why it did not begin to.
func (e *exportHandler) send(w http.ResponseWriter, r *http.Request, doc *export.Document, p *representation, account events.UUID) error {
	if p.unsatisfiable {
		w.Header()["Content-Range"] = []string{"bytes */" + strconv.FormatInt(doc.Size(), 10)}
		return problemUnsatisfiable
	}
	c := p.coding
	streamed := c != identity && doc.Size() > codedWhole && r.Method != http.MethodHead
	if streamed {
		free, err := e.encoders.take(r.Context(), p.codings.plain)
		if err != nil {
			return err
		}
		if streamed = free; !free {
			c = identity
		} else {
			defer e.encoders.release()
		}
	}
	h := w.Header()
	describe(h, &doc.Meta, account, c)
	setCoding(h, c)
	status, body, length := http.StatusOK, io.WriterTo(doc), p.to-p.from
	switch {
	case c != identity && doc.Size() <= codedWhole:
		var short bytes.Buffer
		if _, err := e.encoders.encode(c, &short, doc); err != nil {
			return clean(h, err)
		}
		body, length, c = &short, int64(short.Len()), identity
	case c != identity:
		length = -1
	default:
		h["Accept-Ranges"] = acceptRanges
		if p.partial {
			status = http.StatusPartialContent
			h["Content-Range"] = []string{"bytes " + strconv.FormatInt(p.from, 10) + "-" + strconv.FormatInt(p.to-1, 10) + "/" + strconv.FormatInt(doc.Size(), 10)}
		}
		if r.Method == http.MethodHead {
			length = doc.Size()
		}
	}
	if length >= 0 {
		h["Content-Length"] = []string{strconv.FormatInt(length, 10)}
	}
	if r.Method == http.MethodHead {
		w.WriteHeader(status)
		return nil
	}
	to := &begun{w: w, status: status}
	n, err := e.encoders.encode(c, to, body)
	switch {
	case err != nil && !to.began && r.Context().Err() == nil:
		return clean(h, err)
	case err != nil:
		if r.Context().Err() == nil {
			e.Logger.Warn("an export was broken off", "error", err, "bytes", n, "request", requestID(w))
		}
		panic(http.ErrAbortHandler) // the client sees a broken connection, not a shorter document
	}
	if !to.began {
		w.WriteHeader(status)
	}
	e.metrics.bytes.Observe(float64(p.to - p.from))
	return nil
}

// begun sends the header with the first byte of the body, since until then
// there may come to be another answer.
type begun struct {
	w      http.ResponseWriter
	status int
	began  bool
}

func (b *begun) Write(p []byte) (int, error) {
	if !b.began {
		b.began = true
		b.w.WriteHeader(b.status)
	}
	return b.w.Write(p)
}

// clean takes back what was said of a document that does not come.
func clean(h http.Header, err error) error {
	for _, name := range []string{"Etag", "Export-Position", "Export-As-Of", "Export-Parked", "Content-Disposition", "Content-Encoding",
		"Content-Length", "Content-Range", "Accept-Ranges"} {
		delete(h, name)
	}
	return err
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
func validators(h http.Header, etag string, c coding) {
	if c != identity {
		etag = "W/" + etag // the same document in other bytes
	}
	h["Cache-Control"] = cacheControl
	h["Etag"] = []string{etag}
}

func describe(h http.Header, m *export.Meta, account events.UUID, c coding) {
	validators(h, m.ETag(), c)
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

// These are shared by all documents and never changed.
var (
	contentType  = []string{"application/json"}
	acceptRanges = []string{"bytes"}
)

// fileName names the day that the export is of, or the account as long as the
// projector has not said as of when.
func fileName(m *export.Meta, account events.UUID) string {
	if m.AsOf.Unix() <= 0 {
		return "account-export-" + account.String() + ".json"
	}
	return "account-export-" + m.AsOf.UTC().Format(time.DateOnly) + ".json"
}
