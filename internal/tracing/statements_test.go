package tracing

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// statement has the tracer follow one statement.
func statement(ctx context.Context, traces *Tracing, err error) {
	q := traces.Statements()
	ctx = q.TraceQueryStart(ctx, nil, pgx.TraceQueryStartData{SQL: "SELECT $1", Args: []any{"hunter2"}})
	q.TraceQueryEnd(ctx, nil, pgx.TraceQueryEndData{Err: err})
}

// TestStatementsTellNoValues: a statement's span has its text and the error's SQLSTATE,
// and neither arguments nor the text of the error.
func TestStatementsTellNoValues(t *testing.T) {
	traces, spans := recording(t)
	ctx, end := traces.Command(t.Context(), "projector erase")
	statement(ctx, traces, &pgconn.PgError{Code: "22P02", Message: "invalid input syntax: hunter2"})
	statement(ctx, traces, errors.New("cannot encode hunter2"))
	end(fmt.Errorf("of hunter2: %w", &pgconn.PgError{Code: "23505", Message: "hunter2"}))
	text := ""
	for _, s := range spans.Ended() {
		text += fmt.Sprintln(s.Name(), s.Attributes(), s.Events(), s.Status())
	}
	for _, want := range []string{"SELECT $1", "22P02", "23505", "projector erase"} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is not in %s", want, text)
		}
	}
	if strings.Contains(text, "hunter2") {
		t.Errorf("a value is in %s", text)
	}
}

// TestStatementsAreBounded: a span has 256 statements below it at most, and each phase of
// an act as many; a statement outside of a span has none.
func TestStatementsAreBounded(t *testing.T) {
	traces, spans := recording(t)
	statement(t.Context(), traces, nil)
	if n := len(spans.Started()); n > 0 {
		t.Errorf("%d spans of statements that are not part of anything", n)
	}
	ctx, end := traces.Command(t.Context(), "projector rebuild")
	for range 2 {
		phase, endPhase := Phase(ctx, "build")
		for range 2 * maxStatements {
			statement(phase, traces, nil)
		}
		endPhase(nil)
	}
	end(nil)
	if n := len(spans.Ended()); n != 1+2*(1+maxStatements) {
		t.Errorf("%d spans", n)
	}
}
