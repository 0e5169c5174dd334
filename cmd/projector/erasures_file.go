package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"time"

	"accountexport/events"
	"accountexport/readmodel/admin"
)

// erasureLine is an entry of the ledger as a line of JSON, which `erasures export`
// prints and `erasures import` reads.
type erasureLine struct {
	Account       string    `json:"account"`
	ErasedAt      time.Time `json:"erased_at"` // the time in account.erased
	Position      uint64    `json:"position"`  // of account.erased, in the stream
	Stream        string    `json:"stream"`
	StreamCreated time.Time `json:"stream_created"`
	Receipt       string    `json:"receipt,omitempty"` // sha256:… of the last receipt as JSON
}

func lineOf(e admin.Erasure) erasureLine {
	return erasureLine{e.Account.String(), e.ErasedAt.UTC(), e.Position, e.Stream, e.StreamCreated.UTC(), e.Receipt}
}

var receiptDigest = regexp.MustCompile(`^(sha256:[0-9a-f]{64})?$`)

// readErasures reads an export of the ledger. Where one line is no entry, it fails
// with the number of that line.
func readErasures(ctx context.Context, in io.Reader) ([]admin.Erasure, error) {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	seen := map[events.UUID]int{}
	var out []admin.Erasure
	for n := 1; lines.Scan(); n++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		var l erasureLine
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return nil, fmt.Errorf("line %d is no entry of the ledger: %w", n, err)
		}
		account, err := events.ParseUUID(l.Account)
		switch {
		case err != nil:
			err = errors.New(`"account" is no UUID`)
		case seen[account] > 0:
			err = fmt.Errorf("account %s is on line %d already", account, seen[account])
		case l.ErasedAt.IsZero():
			err = errors.New(`"erased_at" is missing`)
		case !eventTime(l.ErasedAt):
			err = errors.New(`"erased_at" is no time of an event: years 0001 to 9999 in UTC`)
		case l.Position == 0 || l.Position > 1<<63-1:
			err = errors.New(`"position" is no position of a stream`)
		case l.Stream == "":
			err = errors.New(`"stream" is missing`)
		case !streamName.MatchString(l.Stream):
			err = errors.New(`"stream" is no name of a stream`)
		case l.StreamCreated.IsZero():
			err = errors.New(`"stream_created" is missing`)
		case !eventTime(l.StreamCreated):
			err = errors.New(`"stream_created" is no time of a stream: years 0001 to 9999 in UTC`)
		case !receiptDigest.MatchString(l.Receipt):
			err = errors.New(`"receipt" is not sha256: and 64 hex digits`)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d is no entry of the ledger: %w", n, err)
		}
		seen[account] = n
		out = append(out, admin.Erasure{Account: account, ErasedAt: l.ErasedAt, Position: l.Position, Stream: l.Stream,
			StreamCreated: l.StreamCreated, Receipt: l.Receipt})
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read erasures: %w", err)
	}
	return out, nil
}

// eventTime tells whether an event may have this time, which is also what JSON can
// hold.
func eventTime(t time.Time) bool {
	year := t.UTC().Year()
	return year >= 1 && year <= 9999
}
