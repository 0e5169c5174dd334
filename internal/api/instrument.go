package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"accountexport/internal/auth"
	"accountexport/internal/tracing"
)

// metrics are the API's metrics. The counters of expected answers are looked up once,
// here, and not for each request.
type metrics struct {
	requests      *prometheus.CounterVec
	byCode        map[int]prometheus.Counter    // the expected status codes, without a reason
	byReason      map[reason]prometheus.Counter // of answers with status 503
	duration      prometheus.Histogram
	firstByte     prometheus.Histogram
	bytes         prometheus.Histogram
	tokenFailures *prometheus.CounterVec
	panics        prometheus.Counter
	objective     objective
}

func newMetrics(reg prometheus.Registerer) *metrics {
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets,
			NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100})
	}
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "export_requests_total",
			Help: "Requests answered, by status, 499 where the client left before; where that is 503 by reason: " +
				"incomplete, position, busy, database or other. Only the last three are an outage."}, []string{"code", "reason"}),
		byCode: map[int]prometheus.Counter{}, byReason: map[reason]prometheus.Counter{},
		firstByte: histogram("export_time_to_first_byte_seconds", "Time from a request's header to the first byte of its answer.",
			prometheus.ExponentialBuckets(0.00025, 2, 16)),
		duration: histogram("export_request_duration_seconds", "Time from a request's header to the end of its answer.",
			prometheus.ExponentialBuckets(0.00025, 2, 16)),
		bytes: histogram("export_response_bytes", "Size of the documents sent, before any content coding.",
			prometheus.ExponentialBuckets(512, 4, 10)),
		tokenFailures: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "export_token_failures_total",
			Help: "Access tokens that were not accepted."}, []string{"reason"}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{Name: "export_panics_total",
			Help: "Requests that ended in a defect of the program."}),
		objective: newObjective(reg),
	}
	for _, code := range []int{200, 204, 206, 304, 400, 401, 403, 404, 405, 406, 410, 412, 416, 417, 429, 431, statusClientClosed, 500, 501, 505} {
		m.byCode[code] = m.requests.WithLabelValues(strconv.Itoa(code), string(reasonNone))
	}
	for _, r := range reasons() {
		m.byReason[r] = m.requests.WithLabelValues("503", string(r))
	}
	for _, reason := range auth.Reasons() {
		m.tokenFailures.WithLabelValues(reason)
	}
	reg.MustRegister(m.requests, m.duration, m.firstByte, m.bytes, m.tokenFailures, m.panics)
	return m
}

// statusClientClosed is the code under which requests are counted whose client closed
// the connection before an answer, which is no outage. It is never sent.
const statusClientClosed = 499

// errClientClosed is the value of a handler's panic after its client has closed the
// connection.
var errClientClosed = errors.New("the client has left")

// observe counts an answer under its status and reason, and how long it took.
func (m *metrics) observe(w *response, took time.Duration) {
	code := w.code()
	c := m.byCode[code]
	if w.reason != reasonNone {
		c = m.byReason[w.reason]
	}
	if c == nil {
		c = m.requests.WithLabelValues(strconv.Itoa(code), string(w.reason))
	}
	c.Inc()
	m.objective.observe(w, took)
	m.duration.Observe(took.Seconds())
	if !w.first.IsZero() {
		m.firstByte.Observe(w.first.Sub(w.began).Seconds())
	}
}

// unread counts an answer that the server of net/http has sent by itself to what it could
// not read. It took no time that could be measured, and is no part of the objective, also
// where its status is 501 or 505: the client's request is at fault.
func (m *metrics) unread(status int) {
	c := m.byCode[status]
	if c == nil {
		c = m.requests.WithLabelValues(strconv.Itoa(status), string(reasonNone))
	}
	c.Inc()
}

// instrumented wraps the handling of every request, those without a route included.
type instrumented struct {
	next    http.Handler
	metrics *metrics
	log     *slog.Logger
	tracing *tracing.Tracing // nil where nothing is traced
	proxies []netip.Prefix   // whose traceparent is followed
}

// Header values that are the same in every answer; they must not be changed.
var (
	nosniff    = []string{"nosniff"}
	noContent  = []string{"default-src 'none'; frame-ancestors 'none'"}
	noReferrer = []string{"no-referrer"}
)

// ServeHTTP sets the headers of every answer, and counts and logs the request when it
// has been answered.
func (i *instrumented) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	h := w.Header()
	h["X-Content-Type-Options"] = nosniff
	h["Content-Security-Policy"] = noContent
	h["Referrer-Policy"] = noReferrer
	h["X-Request-Id"] = []string{takeRequestID(r)}
	answer := &response{ResponseWriter: w, began: start}
	var end func(tracing.Answered)
	if i.tracing.On() {
		var ctx context.Context
		ctx, end = i.tracing.Request(r, knownMethod(r.Method), isFrom(r, i.proxies))
		r = r.WithContext(ctx)
	}
	defer func() {
		if value := recover(); value != nil {
			answer.clientClosed = value == errClientClosed
			defer i.recovered(r.Context(), answer, value)
		}
		took := time.Since(start)
		i.metrics.observe(answer, took)
		i.logRequest(r, answer, took)
		if end != nil {
			end(tracing.Answered{Route: route(r.URL.Path), Status: answer.code(), Reason: string(answer.reason)})
		}
	}()
	i.next.ServeHTTP(answer, r)
}

// logRequest logs the request: the method, and the path if it is one of the API's own. It
// never logs an account, a token or a document.
func (i *instrumented) logRequest(r *http.Request, w *response, took time.Duration) {
	if !i.log.Enabled(r.Context(), slog.LevelInfo) {
		return
	}
	i.log.LogAttrs(r.Context(), slog.LevelInfo, "answered",
		slog.String("request", requestID(w)),
		slog.String("method", knownMethod(r.Method)),
		slog.String("path", route(r.URL.Path)),
		slog.Int("status", w.code()),
		slog.Int64("bytes", w.sent),
		slog.Float64("seconds", took.Seconds()))
}

// route is a path as it is logged.
func route(path string) string {
	switch {
	case path == exportPath || path == descriptionPath:
		return path
	case strings.HasPrefix(path, schemasPath):
		return schemasPath
	}
	return "another"
}

func knownMethod(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
		return m
	}
	return "another"
}

// recovered answers for a handler that panicked, or closes the connection if an answer
// has begun.
func (i *instrumented) recovered(ctx context.Context, w *response, value any) {
	if value == errClientClosed {
		value = http.ErrAbortHandler
	}
	if value != http.ErrAbortHandler {
		i.metrics.panics.Inc()
		i.log.ErrorContext(ctx, "panic", "panic", fmt.Sprint(value), "stack", string(debug.Stack()), "request", requestID(w))
	}
	if value == http.ErrAbortHandler || w.status != 0 {
		panic(http.ErrAbortHandler)
	}
	write(w, problemInternal)
}

// response records what was sent.
type response struct {
	http.ResponseWriter
	began, first time.Time // when the request and its answer began
	status       int       // 0: nothing was sent yet
	reason       reason
	clientClosed bool  // the client closed the connection first
	reads        bool  // it is well-formed, and for the export of an accepted token's account
	waits        bool  // it prefers to wait for a position
	sent         int64 // bytes of the body
}

// answerOf is the record of the answer that is written to w. Where nobody records it,
// it is one that nobody looks at.
func answerOf(w http.ResponseWriter) *response {
	if answer, ok := w.(*response); ok {
		return answer
	}
	return &response{ResponseWriter: w}
}

// WriteHeader implements [http.ResponseWriter].
func (w *response) WriteHeader(status int) {
	if w.status == 0 {
		w.status, w.first = status, time.Now()
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (w *response) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status, w.first = http.StatusOK, time.Now()
	}
	n, err := w.ResponseWriter.Write(b)
	w.sent += int64(n)
	return n, err
}

// Unwrap is used by http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// code is the status under which the answer is counted and logged.
func (w *response) code() int {
	if w.clientClosed {
		return statusClientClosed
	}
	if w.status == 0 {
		return http.StatusInternalServerError // the handler panicked and nothing was sent
	}
	return w.status
}

// takeRequestID takes the request id of the client or proxy if it is a plain word of
// at most 64 characters, and otherwise creates one.
func takeRequestID(r *http.Request) string {
	if ids := r.Header["X-Request-Id"]; len(ids) == 1 && plainWord(ids[0]) {
		return ids[0]
	}
	var b [16]byte
	n := rand.Uint64() // unique enough to find a log line; not a secret
	for i := range b {
		b[i] = "0123456789abcdef"[n&15]
		n >>= 4
	}
	return string(b[:])
}

func plainWord(s string) bool {
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return len(s) > 0 && len(s) <= 64
}

func requestID(w http.ResponseWriter) string { return w.Header().Get("X-Request-Id") }
