package oracle

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"accountexport/internal/local/testrun"
	"accountexport/internal/workload"
)

// TestJSONAgreesWithTheStandardLibrary compares the parser with encoding/json on
// hostile payloads: both accept the same, except for what the contract forbids
// beyond the grammar of RFC 8259.
func TestJSONAgreesWithTheStandardLibrary(t *testing.T) {
	generator := workload.New(testrun.Seed(t), workload.Config{HostileShare: 0.8})
	accepted, refused, messages := 0, 0, 4000
	if testrun.Long() {
		messages = 100_000
	}
	for range messages {
		payload := generator.Next().Data
		_, err := parseJSON(payload, maxEventDepth)
		if err == nil {
			accepted++
			if !json.Valid(payload) {
				t.Fatalf("accepted %.200q", payload)
			}
			continue
		}
		refused++
		beyond := strings.Contains(err.Error(), "surrogate") || strings.Contains(err.Error(), "duplicate") ||
			strings.Contains(err.Error(), "deep") || !utf8.Valid(payload)
		if !beyond && json.Valid(payload) {
			t.Fatalf("refused %.200q: %v", payload, err)
		}
	}
	if accepted < messages/20 || refused < messages/20 {
		t.Errorf("%d accepted, %d refused: too few to say anything", accepted, refused)
	}
}

// TestTimesAgreeWithTheStandardLibrary walks through months and offsets.
func TestTimesAgreeWithTheStandardLibrary(t *testing.T) {
	p := compilePatterns()
	at, step := time.Date(1, 1, 2, 0, 0, 0, 0, time.UTC), 31_607_123_456_789*time.Microsecond // half a day more than a year
	if testrun.Long() {
		step = 792_123_456_789 * time.Microsecond
	}
	for at.Year() < 9999 {
		at = at.Add(step)
		zone := time.FixedZone("", at.Day()*45*60-12*3600)
		spelled := at.In(zone).Format(time.RFC3339Nano)
		micros, problem := p.readTime(spelled)
		if want := at.UnixMicro(); problem != "" || micros != want {
			t.Fatalf("%s: %d %s, want %d", spelled, micros, problem, want)
		}
		if got := formatTime(micros); got != at.Format(time.RFC3339Nano) {
			t.Fatalf("%s is written %s", spelled, got)
		}
	}
}
