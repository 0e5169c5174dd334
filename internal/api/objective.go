package api

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// firstByteObjective is within what an answer has to begin.
const firstByteObjective = 50 * time.Millisecond

// objective counts what the readers' objective is worked out from: of the requests that
// count, how many were answered late or not at all. How many may be, and over what time,
// is decided where the counters are read (deploy/prometheus/rules).
//
// A request counts if it is well-formed, and for the export of an account whose token is
// accepted; or if it was answered by an error of the server. Left out are those of which
// the time says nothing about the server:
//   - refused before anything was read, by a 4xx: a flood of wrong tokens that are refused
//     quickly must not hide that readers are served slowly;
//   - accounts that are not complete yet, and positions that are not reached;
//   - requests that prefer to wait for a position;
//   - clients that left within the time in which they could be answered. One that left
//     later was answered too late.
type objective struct {
	requests, slow, failed prometheus.Counter
}

func newObjective(reg prometheus.Registerer) objective {
	missed := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "export_objective_missed_total",
		Help: "Requests of export_objective_requests_total that missed the objective: slow, the first byte came after more than 50 ms, or error, a status from 500."},
		[]string{"why"})
	o := objective{
		requests: prometheus.NewCounter(prometheus.CounterOpts{Name: "export_objective_requests_total",
			Help: "Requests of accepted tokens for a whole account, and errors of the server; but for those that prefer to wait, whose position is not reached, or whose client left at once."}),
		slow: missed.WithLabelValues("slow"), failed: missed.WithLabelValues("error"),
	}
	reg.MustRegister(o.requests, missed)
	return o
}

// observe counts a request that took so long altogether.
func (o objective) observe(w *response, took time.Duration) {
	began := took // until the answer began, or until it was clear that none would
	if !w.first.IsZero() {
		began = w.first.Sub(w.began)
	}
	late, failed := began > firstByteObjective, w.code() >= http.StatusInternalServerError
	switch {
	case w.waits, w.reason == reasonIncomplete, w.reason == reasonPosition:
		return
	case !w.reads && !failed:
		return
	case w.clientClosed && !late:
		return
	}
	o.requests.Inc()
	switch {
	case failed:
		o.failed.Inc()
	case late:
		o.slow.Inc()
	}
}
