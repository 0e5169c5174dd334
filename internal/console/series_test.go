package console

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestSeries: the rate is that since the look before, however long ago that was; a
// position that goes back has none, nor has the first of another generation, wherever that
// is, and the next is measured from it.
func TestSeries(t *testing.T) {
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(s int) time.Time { return began.Add(time.Duration(s) * time.Second) }
	s := &series{}
	for _, look := range []struct {
		at            int
		generation    int64
		position, lag uint64
	}{{0, 1, 100, 5}, {1, 1, 110, 4}, {3, 1, 110, 4}, {13, 1, 210, 0}, {14, 1, 50, 160}, {15, 1, 60, 150}, {15, 1, 70, 140}, {16, 2, 1_000_000, 10}, {17, 2, 1_000_010, 0}} {
		s.add(at(look.at), look.generation, look.position, look.lag)
	}
	want := []sample{{at(0), 5, 0}, {at(1), 4, 10}, {at(3), 4, 0}, {at(13), 0, 10}, {at(14), 160, 0}, {at(15), 150, 10}, {at(15), 140, 0}, {at(16), 10, 0}, {at(17), 0, 10}}
	if diff := cmp.Diff(want, s.all()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	// A quarter of an hour is kept, and no more, however often was looked.
	for i := range 2000 {
		s.add(at(20+i), 2, 1_000_010, 0)
	}
	all := s.all()
	if first, last := all[0].At, all[len(all)-1].At; !first.Equal(last.Add(-seriesLength)) || len(all) != 901 {
		t.Errorf("%d samples from %s to %s", len(all), first, last)
	}
	// Where nobody has looked for longer, what was before is gone.
	s.add(at(10_000), 2, 1_000_020, 1)
	if all := s.all(); len(all) != 1 {
		t.Errorf("after a long gap: %v", all)
	}
	all[0].Lag = 77 // what was handed out is the caller's
	if s.all()[0].Lag != 1 {
		t.Error("a caller has changed the series")
	}
}
