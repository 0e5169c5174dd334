package main

import (
	"context"
	"errors"

	"accountexport/projections/engine"
	"accountexport/readmodel"
)

// inOwnWords says what a failure is, in words that hold nothing of what servers say:
// that may have values of events in it. The log has it all.
func inOwnWords(f engine.Failure) string {
	code := readmodel.SQLState(f.Err)
	switch {
	case code != "":
		return "PostgreSQL refuses: SQLSTATE " + code
	case f.Reason == "fenced":
		return "another replica, a refold or a cut-over has taken over"
	case f.Reason == "stalled":
		return "messages wait in the stream, and none comes"
	case errors.Is(f.Err, engine.ErrUnverified):
		return "the stream is not compared with what was folded yet"
	case f.Reason == "source":
		return "NATS does not let the stream be read"
	case errors.Is(f.Err, context.DeadlineExceeded):
		return "PostgreSQL has not answered in time"
	}
	return "the read model could not be written, and PostgreSQL has not said why; the replica's log says more"
}
