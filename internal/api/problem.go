package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"accountexport/internal/auth"
	"accountexport/readmodel/export"
)

// problem is an answer other than a document (RFC 9457). Type is stable, so clients
// may depend on it. No text in it comes from the database or from the token.
type problem struct {
	Type    string   `json:"type"`
	Title   string   `json:"title"`
	Status  int      `json:"status"`
	Detail  string   `json:"detail"`
	Missing []string `json:"missing,omitempty"` // for an incomplete account: of user, team, quota_tier

	// For a position that is not reached: the one reached, and the one requested.
	Position    *uint64 `json:"position,omitempty"`
	MinPosition *uint64 `json:"min_position,omitempty"`

	retryAfter int    // seconds; 0: no Retry-After
	challenge  string // WWW-Authenticate (RFC 6750)
	reason     reason // of a 503
}

// reason is the label of export_requests_total that tells apart why a valid request
// was not answered with a document.
type reason string

// The reasons of status 503. Every other answer has none.
const (
	reasonNone       reason = ""
	reasonIncomplete reason = "incomplete" // parts of the account have not arrived yet
	reasonPosition   reason = "position"   // min_position is not reached
	reasonBusy       reason = "busy"       // more is requested than can be read, or held, at once
	reasonDatabase   reason = "database"   // it is unreachable, silent, or not as this program needs it
	reasonOther      reason = "other"      // the issuer's keys, this machine's disk, or the program's shutdown
)

func reasons() []reason {
	return []reason{reasonIncomplete, reasonPosition, reasonBusy, reasonDatabase, reasonOther}
}

const problemType = "urn:account-export:problem:"

// The problems. They must not be changed; [problem.with] copies.
var (
	problemTwoCredentials = &problem{Type: problemType + "invalid-request", Title: "Invalid request", Status: 400,
		Detail:    "there is more than one Authorization header",
		challenge: `Bearer error="invalid_request", error_description="there is more than one Authorization header"`}
	problemBadQuery = &problem{Type: problemType + "invalid-query", Title: "Invalid query", Status: 400,
		Detail: "the query is malformed: it has to be name=value, percent-encoded, separated by &"}
	problemBadPosition = &problem{Type: problemType + "invalid-min-position", Title: "Invalid min_position", Status: 400,
		Detail: "min_position has to be given once, as a whole number: the stream sequence of one of the account's messages"}
	problemNoCredentials = &problem{Type: problemType + "no-credentials", Title: "No credentials", Status: 401,
		Detail: "send an access token in an Authorization header, after the word Bearer", challenge: "Bearer"}
	problemInvalidToken = &problem{Type: problemType + "invalid-token", Title: "Invalid token", Status: 401}
	problemForbidden    = &problem{Type: problemType + "forbidden", Title: "Forbidden", Status: 403}
	problemNoSuchPath   = &problem{Type: problemType + "no-such-path", Title: "No such path", Status: 404,
		Detail: "there is nothing at this path; an account's export is at " + exportPath}
	problemNeverHeardOf = &problem{Type: problemType + "account-not-found", Title: "Account not found", Status: 404,
		Detail: "nothing was heard of this account"}
	problemMethodNotAllowed = &problem{Type: problemType + "method-not-allowed", Title: "Method not allowed", Status: 405,
		Detail: "use GET or HEAD"}
	problemNotAcceptable = &problem{Type: problemType + "not-acceptable", Title: "Not acceptable", Status: 406,
		Detail: "Accept-Encoding allows none of zstd, gzip and identity"}
	problemErased = &problem{Type: problemType + "account-erased", Title: "Account erased", Status: 410,
		Detail: "the account was erased, and its export with it"}
	problemPrecondition = &problem{Type: problemType + "precondition-failed", Title: "Precondition failed", Status: 412,
		Detail: "If-Match does not hold the current tag, as plain JSON has it"}
	problemUnsatisfiable = &problem{Type: problemType + "range-not-satisfiable", Title: "Range not satisfiable", Status: 416,
		Detail: "the document ends before the range: Content-Range says how long it is"}
	problemTooMany = &problem{Type: problemType + "too-many-requests", Title: "Too many requests", Status: 429,
		Detail: "more requests than are allowed: ask again after Retry-After", retryAfter: 1}
	problemMalformed = &problem{Type: problemType + "malformed-request", Title: "Malformed request", Status: 400,
		Detail: "the request is no valid HTTP/1.1"}
	problemTransferCoding = &problem{Type: problemType + "transfer-coding", Title: "Unknown transfer coding", Status: 501,
		Detail: "a body, which nothing here needs, may be chunked, and in no other transfer coding"}
	problemHTTPVersion = &problem{Type: problemType + "http-version", Title: "Another version of HTTP", Status: 505,
		Detail: "use HTTP/1.1"}
	problemHeaderTooLarge = &problem{Type: problemType + "header-too-large", Title: "Request header too large", Status: 431,
		Detail: "a request's line and header may have 32 KiB together"}
	problemInternal = &problem{Type: problemType + "internal", Title: "Internal error", Status: 500,
		Detail: "this is a defect; it was recorded"}
	problemIncomplete = &problem{Type: problemType + "account-incomplete", Title: "Account not complete yet", Status: 503,
		Detail: "parts of the account have not arrived yet", retryAfter: 5, reason: reasonIncomplete}
	problemNotReached = &problem{Type: problemType + "position-not-reached", Title: "Position not reached yet", Status: 503,
		Detail: "the projector has not come to min_position yet", retryAfter: 1, reason: reasonPosition}
	problemBusy = &problem{Type: problemType + "busy", Title: "Busy", Status: 503,
		Detail: "more exports are being read than can be at once", retryAfter: 2, reason: reasonBusy}
	problemUnavailable = &problem{Type: problemType + "unavailable", Title: "Database away", Status: 503,
		Detail: "the database cannot be reached, or does not answer", retryAfter: 2, reason: reasonDatabase}
	problemNotSetUp = &problem{Type: problemType + "not-set-up", Title: "Not set up", Status: 503,
		Detail: "the database holds no exports yet, or not for this program: its operator has to see to it", retryAfter: 30, reason: reasonDatabase}
	problemNoRoom = &problem{Type: problemType + "no-room", Title: "No room", Status: 503,
		Detail: "the document does not fit where documents are kept while they are sent: the operator has to see to it", retryAfter: 30, reason: reasonOther}
	problemEnding = &problem{Type: problemType + "ending", Title: "Ending", Status: 503,
		Detail: "this server is ending: ask again, another may answer", retryAfter: 1, reason: reasonOther}
	problemNoKeys = &problem{Type: problemType + "keys-unavailable", Title: "Issuer's keys away", Status: 503,
		Detail: "tokens cannot be checked at the moment", retryAfter: 5, reason: reasonOther}
)

// Error implements error, so that a problem can be returned as one.
func (p *problem) Error() string { return p.Detail }

func (p *problem) with(change func(p *problem)) *problem {
	c := *p
	change(&c)
	return &c
}

// problemOf maps every error to the problem that answers it. An error that is neither
// a problem nor a [auth.Failure] is the read model's.
func problemOf(err error) *problem {
	var p *problem
	var token *auth.Failure
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &token):
		text := token.Error()
		switch token.Kind {
		case auth.Forbidden:
			return problemForbidden.with(func(p *problem) { p.Detail = text })
		case auth.Unavailable:
			return problemNoKeys
		}
		return problemInvalidToken.with(func(p *problem) {
			p.Detail = text
			p.challenge = `Bearer error="invalid_token", error_description="` + text + `"`
		})
	}
	return problemsByKind[export.KindOf(err)]
}

// problemOfState returns nil if there is a document to send.
func problemOfState(m export.Meta) error {
	switch m.State {
	case export.Complete:
		return nil
	case export.Erased:
		return problemErased
	case export.Incomplete:
		return problemIncomplete.with(func(p *problem) { p.Missing = m.Missing })
	}
	return problemNeverHeardOf
}

// write sends the problem. For HEAD, net/http omits the body.
func write(w http.ResponseWriter, p *problem) {
	body, err := json.Marshal(p)
	if err != nil { // cannot happen: it consists of texts and numbers
		body = []byte("{}")
	}
	answerOf(w).reason = p.reason
	h := w.Header()
	h["Content-Type"] = []string{"application/problem+json"}
	h["Cache-Control"] = []string{"no-store"}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	if p.retryAfter > 0 {
		h["Retry-After"] = []string{strconv.Itoa(p.retryAfter)}
	}
	if p.challenge != "" {
		h["Www-Authenticate"] = []string{p.challenge}
	}
	w.WriteHeader(p.Status)
	_, _ = w.Write(body) // a client that is gone needs no answer
}
