package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"accountexport/events"
	"accountexport/internal/auth"
	"accountexport/readmodel/export"
)

// exportHandler serves GET and HEAD of an account's export.
type exportHandler struct {
	Config
	metrics  *metrics
	encoders *encoders
	limit    *limiter[events.UUID]
}

// ServeHTTP answers with the document, a 304 or a problem, and logs the problems that
// an operator has to know of.
func (e *exportHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	if h["Vary"] == nil { // in every answer, since every answer depends on these headers
		h["Vary"] = vary
	} else {
		h["Vary"] = append(h["Vary"], vary...)
	}
	err := e.serve(w, r)
	if err == nil {
		return
	}
	if r.Context().Err() != nil && errors.Is(err, context.Canceled) {
		panic(errClientClosed) // the client is gone, and the error says nothing about the server
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

// serve answers the request, or returns why it did not begin to answer.
func (e *exportHandler) serve(w http.ResponseWriter, r *http.Request) error {
	id, err := e.authenticate(r)
	if err != nil {
		return err
	}
	if err := e.limit.allow(w.Header(), id.Account); err != nil {
		return err
	}
	if err := e.waitForPosition(w, r, id.Account); err != nil {
		return err
	}
	p := newRepresentation(r)
	// A request is only conditional if without the condition it would be answered with a
	// document (RFC 9110 §13.2.1).
	ifMatch, ifNoneMatch := r.Header["If-Match"], r.Header["If-None-Match"]
	if len(ifMatch)+len(ifNoneMatch) > 0 && p.codings.any {
		m, err := e.Exports.Meta(r.Context(), id.Account)
		if err != nil {
			return err
		}
		if err := problemOfState(m); err != nil {
			return err
		}
		etag := m.ETag()
		if len(ifMatch) > 0 && !anyMatches(ifMatch, etag, strongly) {
			return problemPrecondition
		}
		if anyMatches(ifNoneMatch, etag, weakly) {
			setValidators(w.Header(), etag, p.codings.preferred)
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
	}
	for tries := 1; ; tries++ {
		if err = e.document(w, r, p, id.Account); err == nil || tries == maxAttempts || r.Context().Err() != nil || !export.IsTransient(err) {
			return err
		}
	}
}

// maxAttempts is how often a document is opened of which nothing has been sent, because
// it changed after its reading was interrupted.
const maxAttempts = 3

// document opens the document and sends it, or returns why it did not begin to.
func (e *exportHandler) document(w http.ResponseWriter, r *http.Request, p *representation, account events.UUID) error {
	open := e.Exports.OpenRange
	if p.codings.stored {
		open = e.Exports.OpenGzip
	}
	doc, err := open(r.Context(), account, p.choice())
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
	// it has changed since
	if ifMatch := r.Header["If-Match"]; len(ifMatch) > 0 && !anyMatches(ifMatch, doc.ETag(), strongly) {
		return problemPrecondition
	}
	_, p.stored = doc.Gzip()
	p.decide(&doc.Meta, doc.Size())
	return e.send(w, r, doc, p, account)
}

// waitForPosition waits for min_position for as long as the client prefers to.
func (e *exportHandler) waitForPosition(w http.ResponseWriter, r *http.Request, account events.UUID) error {
	position, err := minPosition(r.URL.RawQuery)
	if err != nil {
		return err
	}
	answer := answerOf(w)
	answer.reads = true
	if position == 0 {
		return nil
	}
	wait, preferred := preferredWait(r.Header["Prefer"])
	answer.waits = wait > 0
	if preferred {
		w.Header().Set("Preference-Applied", "wait="+strconv.Itoa(int(wait/time.Second)))
	}
	at, reached, err := e.Waiter.WaitFor(r.Context(), account, position, wait)
	if err != nil || reached {
		return err
	}
	return problemNotReached.with(func(p *problem) { p.Position, p.MinPosition = &at, &position })
}

// codedWhole is the size in bytes up to which a document is compressed before it is
// sent. The answer's length is then known, and the encoder does not run at the
// client's pace.
const codedWhole = 64 << 10

// send sends a document, or returns why it did not begin to. An error after the first
// byte closes the connection by a panic with http.ErrAbortHandler.
func (e *exportHandler) send(w http.ResponseWriter, r *http.Request, doc *export.Document, p *representation, account events.UUID) error {
	if p.unsatisfiable {
		w.Header()["Content-Range"] = []string{"bytes */" + strconv.FormatInt(doc.Size(), 10)}
		return problemUnsatisfiable
	}
	c := p.coding
	gzipLength, stored := doc.Gzip()
	compressing := c != identity && doc.Size() > codedWhole && r.Method != http.MethodHead && !stored
	if compressing {
		free, err := e.encoders.acquire(r.Context(), p.codings.plain)
		if err != nil {
			return err
		}
		if compressing = free; !free {
			c = identity
		} else {
			defer e.encoders.release()
		}
	}
	h := w.Header()
	setDocumentHeaders(h, &doc.Meta, account, c)
	setCoding(h, c)
	status, body, length := http.StatusOK, io.WriterTo(doc), p.to-p.from
	switch {
	case stored:
		length, c = gzipLength, identity
	case c != identity && doc.Size() <= codedWhole:
		var short bytes.Buffer
		if _, err := e.encoders.encode(c, &short, doc); err != nil {
			return removeDocumentHeaders(h, err)
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
	to := &headerOnWrite{w: w, status: status}
	n, err := e.encoders.encode(c, to, body)
	switch {
	case err != nil && !to.written && r.Context().Err() == nil:
		return removeDocumentHeaders(h, err)
	case err != nil:
		if r.Context().Err() == nil {
			e.Logger.Warn("an export was broken off", "error", err, "bytes", n, "request", requestID(w))
		}
		panic(http.ErrAbortHandler) // the client sees a broken connection, and not a shorter document
	}
	if !to.written {
		w.WriteHeader(status)
	}
	e.metrics.bytes.Observe(float64(p.to - p.from))
	return nil
}

// headerOnWrite writes the header together with the first byte of the body: until then the
// answer may still become a problem.
type headerOnWrite struct {
	w       http.ResponseWriter
	status  int
	written bool
}

// Write implements [io.Writer].
func (b *headerOnWrite) Write(p []byte) (int, error) {
	if !b.written {
		b.written = true
		b.w.WriteHeader(b.status)
	}
	return b.w.Write(p)
}

// authenticate verifies the token of the request's Authorization header (RFC 6750
// §2.1; the scheme is case-insensitive). Another scheme counts as no credentials.
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
