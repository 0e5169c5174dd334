package store_test

import (
	"testing"
	"time"

	"accountexport/projections/engine"
	"accountexport/readmodel/internal/readmodeltest"
)

// TestLastMessagesAreKept: a checkpoint keeps the last message of its partition, over
// batches without one, and over those of an older program, which knows nothing of it.
func TestLastMessagesAreKept(t *testing.T) {
	pool, s := readmodeltest.Open(t)
	own := readmodeltest.Acquire(t, s)
	c := own.Checkpoints[1]
	mark := engine.Fingerprint{Position: 5, Time: readmodeltest.Noon.Add(time.Microsecond), Digest: [16]byte{1, 15: 2}}
	if c.Last != (engine.Fingerprint{}) {
		t.Errorf("last %+v, and nothing was folded", c.Last)
	}
	for _, a := range []engine.Advance{
		{Partition: 1, To: 6, Epoch: c.Epoch, AsOf: readmodeltest.Noon, Last: mark},
		{Partition: 1, From: 6, To: 7, Epoch: c.Epoch, AsOf: readmodeltest.Noon},
	} {
		if err := s.Commit(t.Context(), &engine.Batch{Generation: 1, Advances: []engine.Advance{a}}); err != nil {
			t.Fatal(err)
		}
	}
	// An older program's commit, which a generation of the first format accepts.
	if _, err := pool.Exec(t.Context(), `UPDATE export.generations SET format = 1`); err != nil {
		t.Fatal(err)
	}
	_, err := pool.Exec(t.Context(), `
SELECT export.advance(1, '{1}'::integer[], '{7}'::bigint[], '{9}'::bigint[], ARRAY[$1]::bigint[], ARRAY[now()], '{1}', '{0}', '{0}', '{0}', '{0}')`,
		c.Epoch)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range readmodeltest.Acquire(t, s).Checkpoints {
		switch {
		case c.Partition != 1:
			if c.Position != 0 || c.Last != (engine.Fingerprint{}) {
				t.Errorf("partition %d: %+v", c.Partition, c)
			}
		case c.Position != 9, c.Last.Position != mark.Position, !c.Last.Time.Equal(mark.Time), c.Last.Digest != mark.Digest:
			t.Errorf("got %+v, want position 9 and %+v", c, mark)
		}
	}
}

// TestGenerationRecordsTheStreamsID: a generation that was folded before its stream
// had an id records it once the stream has one, and keeps it. It does not record the
// id of another stream.
func TestGenerationRecordsTheStreamsID(t *testing.T) {
	_, s := readmodeltest.Open(t)
	for _, step := range []struct {
		id, want string
		created  time.Time
	}{
		{"", "", readmodeltest.Stream.Created}, {"other", "", readmodeltest.Stream.Created.Add(time.Second)}, {"a", "a", readmodeltest.Stream.Created}, {"", "a", readmodeltest.Stream.Created},
		{"b", "a", readmodeltest.Stream.Created},
	} {
		now := readmodeltest.Stream
		now.ID, now.Created = step.id, step.created
		own, err := s.Acquire(t.Context(), now)
		if err != nil {
			t.Fatal(err)
		}
		if own.Stream.ID != step.want {
			t.Errorf("stream says %q, generation has %q, want %q", step.id, own.Stream.ID, step.want)
		}
	}
}
