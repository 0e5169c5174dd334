package console

import (
	"context"
	"testing"
	"time"

	"accountexport/readmodel/admin"
)

// TestRateOfARebuild: a rate is that of the last looks at one generation that a program builds;
// another generation, one that is begun anew and one that nobody builds have none yet.
func TestRateOfARebuild(t *testing.T) {
	var s buildSeries
	began := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	add := func(second int, number int64, mean uint64, running bool) {
		s.add(began.Add(time.Duration(second)*time.Second), &admin.BuildStatus{Number: number, Mean: mean, Running: running})
	}
	check := func(when string, want float64) {
		t.Helper()
		if got := s.rate(2); got != want {
			t.Errorf("%s: %v a second, want %v", when, got, want)
		}
	}
	add(0, 2, 1000, true)
	check("one look", 0)
	add(10, 2, 2000, true)
	check("two", 100)
	for second := 11; second <= 60; second++ {
		add(second, 2, 2000+uint64(second-10)*50, true)
	}
	check("slower since", 50)
	if s.rate(3) != 0 {
		t.Error("another generation has its rate")
	}
	add(61, 2, 10, true)
	check("begun anew", 0)
	add(62, 2, 30, true)
	check("and gone on", 20)
	add(63, 2, 30, false)
	check("abandoned", 0)
	s.add(began, nil)
	check("none is built", 0)
}

// TestGenerationsAreReadOnceForEachLook: however many pages follow, the generations are read
// once for a look of the hub.
func TestGenerationsAreReadOnceForEachLook(t *testing.T) {
	var s generationsLook
	reads := 0
	read := func(context.Context) generationsFound { reads++; return generationsFound{running: true} }
	for _, l := range []*look{{}, {}} {
		for range 200 {
			if !s.read(l, read).running {
				t.Fatal("what was read is not what is shown")
			}
		}
	}
	if reads != 2 {
		t.Errorf("%d reads for two looks", reads)
	}
}
