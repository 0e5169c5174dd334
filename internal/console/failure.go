package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"accountexport/internal/cli"
	"accountexport/projections/engine"
	"accountexport/readmodel"
)

// failure is a request that could not be answered: a page, and problem+json (RFC 9457)
// for /api/.
type failure struct {
	Status int    `json:"status"`
	Type   string `json:"type"`   // below /problems/, stable
	Title  string `json:"title"`  // what was wrong
	Detail string `json:"detail"` // what would be right

	err error
}

func (f *failure) Error() string { return f.Title + ": " + f.Detail }
func (f *failure) Unwrap() error { return f.err }

// failurePage is a failure as a page.
type failurePage struct {
	*failure
	Back string // the page with the form that was refused; empty where there is none
}

func (p *failurePage) pageTitle() string { return p.Title }

// badRequest says what was wrong with a request, and what would be right.
func badRequest(title, format string, args ...any) error {
	return &failure{Status: http.StatusBadRequest, Type: "bad-request", Title: title, Detail: fmt.Sprintf(format, args...)}
}

// notThere is the failure of what does not exist.
func notThere(title, format string, args ...any) error {
	return &failure{Status: http.StatusNotFound, Type: "not-found", Title: title, Detail: fmt.Sprintf(format, args...)}
}

// asFailure makes a failure of any error. What servers say is logged, and shown: the
// console is for operators, and acts' errors hold no values of events.
func asFailure(err error) *failure {
	var f *failure
	switch {
	case errors.As(err, &f):
		return f
	case errors.Is(err, readmodel.ErrNoGeneration):
		return &failure{http.StatusServiceUnavailable, "nothing-projected", "Nothing has been projected yet", "`projector run` begins it; this page follows.", err}
	case errors.Is(err, readmodel.ErrSchemaOutdated):
		return &failure{http.StatusServiceUnavailable, "not-provisioned", "The database is not as this program needs it", "`projector provision` brings it up to date.", err}
	case errors.Is(err, engine.ErrPaused):
		return &failure{http.StatusConflict, "paused", "Projecting is paused", cli.Printable(err.Error()), err}
	case errors.Is(err, context.DeadlineExceeded):
		return &failure{http.StatusServiceUnavailable, "late", "A server has not answered in time", cli.Printable(err.Error()), err}
	}
	return &failure{http.StatusServiceUnavailable, "failed", "This could not be done", cli.Printable(err.Error()), err}
}

func (c *Console) failPage(w http.ResponseWriter, r *http.Request, err error) {
	f := asFailure(err)
	c.report(r, f)
	if errors.Is(f, errWaiting) { // there is nothing on this page to lose
		w.Header().Set("Refresh", "2")
	}
	p := &failurePage{failure: f}
	if r.Method == http.MethodPost {
		p.Back = backOf(r)
	}
	c.page(w, r, f.Status, "failure", p)
}

func (c *Console) failJSON(w http.ResponseWriter, r *http.Request, err error) {
	f := asFailure(err)
	c.report(r, f)
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(f.Status)
	_ = json.NewEncoder(w).Encode(f)
}

// report logs what a server has failed with.
func (c *Console) report(r *http.Request, f *failure) {
	if f.Status >= http.StatusInternalServerError && f.err != nil && r.Context().Err() == nil {
		c.log.Warn("a request to the console has failed", "path", r.URL.Path, "error", f.err)
	}
}

// fail answers as the path wants it.
func (c *Console) fail(w http.ResponseWriter, r *http.Request, err error) {
	if isAPI(r) {
		c.failJSON(w, r, err)
		return
	}
	c.failPage(w, r, err)
}

func (c *Console) notFound(w http.ResponseWriter, r *http.Request) {
	c.fail(w, r, notThere("There is no such page", "The pages of the console are in its navigation."))
}

func (c *Console) methodNotAllowed(w http.ResponseWriter, r *http.Request) {
	allow := "GET, HEAD"
	if path := strings.TrimPrefix(r.URL.Path, "/api"); strings.HasPrefix(path, "/acts/") {
		allow = "POST"
	}
	w.Header().Set("Allow", allow)
	c.fail(w, r, &failure{Status: http.StatusMethodNotAllowed, Type: "method-not-allowed", Title: "That method is not for this path",
		Detail: "Pages are read by GET, and acts are done by POST."})
}
