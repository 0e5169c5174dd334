package console

import (
	"errors"
	"net/http"
	"runtime/debug"
)

// errInside is what is told of a panic; what it was is in the log.
var errInside = errors.New("the console has failed inside: its log says where")

// within does something, and makes an error of a panic, so that one mistake in the console
// ends one request, act or look, and not the console.
func (c *Console) within(what string, do func() error) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			c.panicked(what, cause)
			err = errInside
		}
	}()
	return do()
}

func (c *Console) panicked(what string, cause any) {
	c.log.Error("the console has failed inside", "in", what, "error", cause, "stack", string(debug.Stack()))
}

// contained answers 500 where a handler panics. Where it has answered in part, the
// connection is cut, so that nobody takes a part for the whole.
func (c *Console) contained(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := &begun{ResponseWriter: w}
		defer func() {
			cause := recover()
			if cause == nil {
				return
			}
			if cause != http.ErrAbortHandler { //nolint:errorlint // net/http compares it so
				c.panicked(r.URL.Path, cause)
			}
			if answer.begun {
				panic(http.ErrAbortHandler)
			}
			c.fail(w, r, &failure{Status: http.StatusInternalServerError, Type: "inside", Title: "The console has failed inside",
				Detail: "Its log says where. Nothing else is affected."})
		}()
		next.ServeHTTP(answer, r)
	})
}

// begun knows whether an answer has begun.
type begun struct {
	http.ResponseWriter
	begun bool
}

func (b *begun) WriteHeader(status int) {
	b.begun = true
	b.ResponseWriter.WriteHeader(status)
}

func (b *begun) Write(p []byte) (int, error) {
	b.begun = true
	return b.ResponseWriter.Write(p)
}

// Unwrap is for [http.ResponseController].
func (b *begun) Unwrap() http.ResponseWriter { return b.ResponseWriter }
