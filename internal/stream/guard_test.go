package stream

import (
	"errors"
	"strings"
	"testing"
	"time"

	"accountexport/projections/engine"
)

func TestGuard(t *testing.T) {
	created := time.Date(2026, 5, 1, 10, 0, 0, 123456789, time.UTC)
	have := engine.StreamIdentity{Name: "S", Created: created}
	for _, tc := range []struct {
		name            string
		info            engine.StreamInfo
		lowest, highest uint64
		partitions      int
		id              string
		want            error
		says            []string
	}{
		{name: "an empty stream, nothing folded", info: engine.StreamInfo{Name: "S", Created: created}},
		{name: "in the middle", info: engine.StreamInfo{Name: "S", Created: created, First: 1, Last: 100}, lowest: 40, highest: 60},
		{name: "at the end", info: engine.StreamInfo{Name: "S", Created: created, First: 1, Last: 100}, lowest: 100, highest: 100},
		{name: "a database keeps microseconds", info: engine.StreamInfo{Name: "S", Created: created.Truncate(time.Microsecond), First: 1, Last: 9}, lowest: 5, highest: 5},
		{name: "another time zone", info: engine.StreamInfo{Name: "S", Created: created.In(time.FixedZone("", 3600)), First: 1, Last: 9}, lowest: 5, highest: 5},
		{name: "the next message is the first", info: engine.StreamInfo{Name: "S", Created: created, First: 41, Last: 100}, lowest: 40, highest: 60},
		{name: "purged to its end", info: engine.StreamInfo{Name: "S", Created: created, First: 101, Last: 100}, lowest: 100, highest: 100},
		{name: "a new generation accepts any beginning", info: engine.StreamInfo{Name: "S", Created: created, First: 50, Last: 100}},
		{name: "the same id", info: engine.StreamInfo{Name: "S", Created: created, ID: "a", First: 1, Last: 9}, lowest: 5, highest: 5, id: "a"},
		{name: "an id that was not known", info: engine.StreamInfo{Name: "S", Created: created, ID: "a", First: 1, Last: 9}, lowest: 5, highest: 5},
		{name: "an id that is no more", info: engine.StreamInfo{Name: "S", Created: created, First: 1, Last: 9}, lowest: 5, highest: 5, id: "a"},
		{name: "another id", info: engine.StreamInfo{Name: "S", Created: created, ID: "b", First: 1, Last: 9}, lowest: 5, highest: 5, id: "a",
			want: ErrOtherStream, says: []string{"its id is b, and was a"}},
		{name: "recreated, claiming to be the same", info: engine.StreamInfo{Name: "S", Created: created.Add(time.Second), ID: "a", First: 1, Last: 9},
			lowest: 5, highest: 5, id: "a", want: ErrRecreated, says: []string{"by its id a it claims"}},
		{name: "another name, claiming to be the same", info: engine.StreamInfo{Name: "T", Created: created, ID: "a", First: 1, Last: 9},
			lowest: 5, highest: 5, id: "a", want: ErrOtherStream, says: []string{"by its id a it claims"}},
		{name: "recreated", info: engine.StreamInfo{Name: "S", Created: created.Add(time.Second), First: 1, Last: 100}, lowest: 40, highest: 60,
			want: ErrRecreated, says: []string{"2026-05-01T10:00:00", "2026-05-01T10:00:01"}},
		{name: "another stream", info: engine.StreamInfo{Name: "T", Created: created, First: 1, Last: 100}, lowest: 40, highest: 60,
			want: ErrOtherStream, says: []string{"S", "T"}},
		{name: "recreated, nothing folded", info: engine.StreamInfo{Name: "S", Created: created.Add(time.Second)},
			want: ErrRecreated},
		{name: "another number of partitions", info: engine.StreamInfo{Name: "S", Created: created, First: 1, Last: 100, Partitions: 8}, lowest: 40, highest: 60,
			partitions: 16, want: engine.ErrPartitions, says: []string{"8", "16"}},
		{name: "behind", info: engine.StreamInfo{Name: "S", Created: created, First: 1, Last: 59}, lowest: 40, highest: 60,
			want: engine.ErrStreamBehind, says: []string{"59", "60"}},
		{name: "emptied", info: engine.StreamInfo{Name: "S", Created: created}, lowest: 40, highest: 60,
			want: engine.ErrStreamBehind, says: []string{"60"}},
		{name: "history lost", info: engine.StreamInfo{Name: "S", Created: created, First: 42, Last: 100}, lowest: 40, highest: 60,
			want: ErrHistoryLost, says: []string{"42", "40"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			have.Partitions, have.ID = tc.partitions, tc.id
			err := Guard(tc.info, have, tc.lowest, tc.highest)
			if !errors.Is(err, tc.want) {
				t.Fatalf("got %v, want %v", err, tc.want)
			}
			if tc.want == nil {
				return
			}
			for _, part := range append(tc.says, "restore", "projector rebuild", "accept") {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
		})
	}
}
