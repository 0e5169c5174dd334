package main

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"accountexport/events"
	"accountexport/internal/acts"
	"accountexport/internal/cli"
)

// accountKind is the id of an account.
func accountKind() cli.Kind[events.UUID] {
	return cli.Kind[events.UUID]{Name: "ID", Right: "the UUID of an account, such as 3c90c3cc-0d44-4b50-8888-8dd25736052a",
		Parse: events.ParseUUID}
}

// positionKind is a position of the stream, which begin at 1.
func positionKind() cli.Kind[uint64] {
	return cli.Kind[uint64]{Name: "POSITION", Right: "a position of the stream, such as 1234", Parse: func(s string) (uint64, error) {
		n, err := strconv.ParseUint(s, 10, 63)
		if n == 0 {
			return 0, errors.New("positions begin at 1")
		}
		return n, err
	}}
}

// generationKind is the number of a generation.
func generationKind() cli.Kind[int64] {
	return cli.Kind[int64]{Name: "GENERATION", Right: "the number of a generation, such as 1, see `projector generations list`",
		Parse: func(s string) (int64, error) {
			n, err := positionKind().Parse(s)
			return int64(n), err
		}}
}

// asOfKind is a position, or a time: by the timestamps of the stream, unless
// --at-event-time is given.
func asOfKind() cli.Kind[acts.AsOf] {
	return cli.Kind[acts.AsOf]{Name: "POSITION|TIME", Right: "a position of the stream, such as 1234, or a time, such as 2026-03-25T07:11:48Z",
		Parse: func(s string) (acts.AsOf, error) {
			if n, err := positionKind().Parse(s); err == nil {
				return acts.AsOf{Position: n}, nil
			}
			t, err := parseTime(s)
			if err == nil && t.IsZero() {
				t = t.Add(1) // the zero time is none; the first moment that an event can have is meant
			}
			return acts.AsOf{Time: t}, err
		}}
}

// parseTime reads an RFC 3339 time to the nanosecond, as the stream has them. What Go
// takes beside that, such as an hour of one digit or a comma before the fraction, is
// refused, as it is in events.
func parseTime(s string) (time.Time, error) {
	if _, err := events.ParseTime(s); err != nil {
		return time.Time{}, err
	}
	return time.Parse(time.RFC3339Nano, s)
}

// durationKind is a duration that is not below the least.
func durationKind(least time.Duration) cli.Kind[time.Duration] {
	return cli.Kind[time.Duration]{Name: "DURATION", Right: fmt.Sprintf("a duration of at least %v, such as 5s", least), Parse: func(s string) (time.Duration, error) {
		d, err := time.ParseDuration(s)
		if err == nil && d < least {
			err = errors.New("it is too short")
		}
		return d, err
	}}
}

// maybe makes a kind optional: the value is nil where the flag is not given.
func maybe[T any](kind cli.Kind[T]) cli.Kind[*T] {
	return cli.Kind[*T]{Name: kind.Name, Right: kind.Right, Parse: func(s string) (*T, error) {
		v, err := kind.Parse(s)
		return &v, err
	}}
}
