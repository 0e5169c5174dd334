package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"accountexport/projections/engine"
)

// ignoreCommits is an observer that nothing is done with.
type ignoreCommits struct{ engine.Observer }

func (ignoreCommits) Committed(engine.BatchStats) {}

// TestParkingIsLogged: however many batches park messages, one line a second counts
// all of them, with the most frequent kinds, and no message is missing from the counts.
func TestParkingIsLogged(t *testing.T) {
	var out bytes.Buffer
	l := &parkingLog{Observer: ignoreCommits{}, log: slog.New(slog.NewJSONHandler(&out, nil))}
	l.last = time.Now().Add(time.Hour) // so that nothing is due while the test lasts
	for i := range 1000 {
		l.Committed(engine.BatchStats{Generation: 7, Parked: map[engine.ParkedKind]int64{
			{Type: "user.email_changed.v1", Reason: "data.email: found an object, want a text"}: 20,
			{Type: fmt.Sprint("strange\x1b", i%100), Reason: "masked"}:                          1}})
		l.Committed(engine.BatchStats{Generation: 7}) // that parks nothing
	}
	if out.Len() > 0 {
		t.Fatalf("too early: %s", &out)
	}
	l.flush()
	l.flush() // nothing more
	var line struct {
		Level           string
		Messages, Kinds int64
		Generation      int64
		Most            []string
	}
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("%s: %v", &out, err)
	}
	if line.Level != "WARN" || line.Messages != 21000 || line.Kinds != 101 || line.Generation != 7 || len(line.Most) != 3 ||
		line.Most[0] != "20000 of user.email_changed.v1, data.email: found an object, want a text" || strings.Contains(out.String(), "\x1b") {
		t.Errorf("%s", &out)
	}
}
