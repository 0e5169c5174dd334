package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// unreadHeader ends the header of the answers that the server of net/http sends by
// itself to a request that it cannot parse: in plain text, before any handler runs,
// and with no hook to change it. The server writes such an answer with one Write to
// the connection, which is ours. It is recognised by a header without a Date, which
// no handler's answer has; a document or problem is JSON and contains no line break
// between these words.
const unreadHeader = "\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"

// unreadProblem returns the problem that replaces an answer of this status.
func unreadProblem(status int) *problem {
	switch status {
	case http.StatusRequestHeaderFieldsTooLarge:
		return problemHeaderTooLarge
	case http.StatusNotImplemented:
		return problemTransferCoding
	case http.StatusHTTPVersionNotSupported:
		return problemHTTPVersion
	}
	return problemMalformed
}

// expectationFailed begins the answer to an Expect header that net/http does not know,
// which it sends in the same way, but with a Date and without a body. No handler here
// sends this status.
const expectationFailed = "HTTP/1.1 417 "

// rewriteParseError replaces such an answer by a problem document, and returns
// anything else unchanged. A page of another origin cannot read it, since the
// request's origin is unknown. Each is counted, whether replaced or not, by its status.
func rewriteParseError(p []byte, count func(status int)) []byte {
	if bytes.HasPrefix(p, []byte(expectationFailed)) {
		count(http.StatusExpectationFailed)
		return p
	}
	line, rest, found := bytes.Cut(p[:min(len(p), 512)], []byte(unreadHeader))
	if !found || len(line) < len("HTTP/1.1 431") || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) || bytes.ContainsAny(line, "\r\n") || len(rest) > 256 {
		return p
	}
	status, err := strconv.Atoi(string(line[len("HTTP/1.1 "):len("HTTP/1.1 431")]))
	if err != nil || status < 400 {
		return p
	}
	unread := unreadProblem(status)
	count(unread.Status)
	body, err := json.Marshal(unread)
	if err != nil { // cannot happen: it consists of texts and a number
		return p
	}
	h := http.Header{"Content-Type": {"application/problem+json"}, "Cache-Control": {"no-store"}, "Content-Length": {strconv.Itoa(len(body))},
		"Connection": {"close"}, "Date": {time.Now().UTC().Format(http.TimeFormat)},
		"X-Content-Type-Options": nosniff, "Content-Security-Policy": noContent, "Referrer-Policy": noReferrer}
	var out bytes.Buffer
	fmt.Fprintf(&out, "HTTP/1.1 %d %s\r\n", unread.Status, http.StatusText(unread.Status))
	_ = h.Write(&out) // cannot fail
	out.WriteString("\r\n")
	out.Write(body)
	return out.Bytes()
}
