package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"accountexport/projections/engine"
)

// TestWhatAWorkerHasToldCounts: messages that the server has skipped are known to the rebuild
// although the worker that met them was killed, in the middle of a line.
func TestWhatAWorkerHasToldCounts(t *testing.T) {
	t.Parallel()
	var skipped engine.Ranges
	told := `{"undelivered":[{"First":4,"Last":6}]}
{"undelivered":[{"First":9,"Last":9}]}
{"undelivered":[{"Fi`
	_, err := readReports(strings.NewReader(told), func(r engine.Ranges) { skipped = skipped.Union(r) })
	if err == nil {
		t.Error("half a line is no error")
	}
	if diff := cmp.Diff(engine.Ranges{{First: 4, Last: 6}, {First: 9, Last: 9}}, skipped); diff != "" {
		t.Error(diff)
	}
	fenced, err := readReports(strings.NewReader(`{"fenced":"by an erasure"}`+"\n"), nil)
	if fenced != "by an erasure" || err != nil {
		t.Errorf("fenced %q, %v", fenced, err)
	}
}
