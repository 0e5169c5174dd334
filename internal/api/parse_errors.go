package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// Where a request cannot be read, the server of net/http answers by itself, in
// plain text and before any handler, and offers no way to say it otherwise. It
// writes the whole answer at once to its connection, which is ours, and it is told
// from all that handlers send by its header, which has no Date: a document or
// problem is JSON, in which there is no line end between these words.
const unreadHeader = "\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"

// unreadProblem is the problem of such an answer.
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

// rewriteParseError makes a problem document of an answer of the server's own, and leaves all
// else as it is. A page of another origin cannot read it, since nothing is known of
// the request.
func rewriteParseError(p []byte) []byte {
	line, rest, found := bytes.Cut(p[:min(len(p), 512)], []byte(unreadHeader))
	if !found || len(line) < len("HTTP/1.1 431") || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) || bytes.ContainsAny(line, "\r\n") || len(rest) > 256 {
		return p
	}
	status, err := strconv.Atoi(string(line[len("HTTP/1.1 "):len("HTTP/1.1 431")]))
	if err != nil || status < 400 {
		return p
	}
	what := unreadProblem(status)
	body, err := json.Marshal(what)
	if err != nil { // a struct of texts and a number
		return p
	}
	h := http.Header{"Content-Type": {"application/problem+json"}, "Cache-Control": {"no-store"}, "Content-Length": {strconv.Itoa(len(body))},
		"Connection": {"close"}, "Date": {time.Now().UTC().Format(http.TimeFormat)},
		"X-Content-Type-Options": nosniff, "Content-Security-Policy": noContent, "Referrer-Policy": noReferrer}
	var out bytes.Buffer
	fmt.Fprintf(&out, "HTTP/1.1 %d %s\r\n", what.Status, http.StatusText(what.Status))
	_ = h.Write(&out) // to memory
	out.WriteString("\r\n")
	out.Write(body)
	return out.Bytes()
}
