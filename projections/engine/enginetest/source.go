package enginetest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"accountexport/events"
	"accountexport/projections"
	"accountexport/projections/engine"
)

// Log is a source, and what the test can do to it.
type Log struct {
	engine.Source

	// Publish appends a message and returns its position. It is called while
	// others read.
	Publish func(t *testing.T, m events.Message) uint64

	// Remove takes a message out, as an erasure does; nil leaves out the subtests
	// that need it.
	Remove func(t *testing.T, position uint64)
}

// TestSource checks a source. open makes an empty log; every subtest has one of
// its own.
func TestSource(t *testing.T, open func(t *testing.T) Log) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, l Log)
	}{
		{"messages come as they were published, once and in order", testOrder},
		{"reading begins right after a position", testOpenAfter},
		{"a read returns one message at least, and stops at either bound", testBounds},
		{"messages are appended, and stay as they are", testAppend},
		{"at the end a reader waits for more", testWait},
		{"beyond the end a reader waits for what comes after", testBeyond},
		{"a read ends with its context", testReadContext},
		{"closing ends a read that waits, and every later one", testClose},
		{"readers do not disturb each other", testReaders},
		{"the end is the last position given out", testInfo},
		{"removed messages are left out, and positions stay", testGap},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

// wide bounds nothing here.
var wide = engine.Bound{Events: 1000, Bytes: 1 << 20}

// note is a message that says its number.
func note(n int) events.Message {
	return events.Message{Subject: events.AccountSubject(events.UUID{0: byte(n % 7), 15: 1}), Data: fmt.Appendf(nil, "message %d", n),
		Header: map[string][]string{"Number": {fmt.Sprint(n)}}}
}

// publish publishes the notes from first to last, and returns their positions.
func (l Log) publish(t *testing.T, first, last int) (positions []uint64) {
	t.Helper()
	for n := first; n <= last; n++ {
		positions = append(positions, l.Publish(t, note(n)))
	}
	return positions
}

func (l Log) open(t *testing.T, after uint64) engine.Reader {
	t.Helper()
	r, err := l.Open(t.Context(), after)
	if err != nil {
		t.Fatalf("open after %d: %v", after, err)
	}
	t.Cleanup(r.Close)
	return r
}

func limited(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// read reads so many messages.
func read(t *testing.T, r engine.Reader, n int) (all []projections.Message) {
	t.Helper()
	ctx := limited(t)
	for len(all) < n {
		some, err := r.Next(ctx, nil, wide)
		if err != nil {
			t.Fatalf("after %d of %d messages: %v", len(all), n, err)
		}
		if len(some) == 0 {
			t.Fatal("Next returned neither a message nor an error")
		}
		all = append(all, some...)
	}
	return all
}

func positionsOf(messages []projections.Message) (out []uint64) {
	for _, m := range messages {
		out = append(out, m.Position)
	}
	return out
}

func wantPositions(t *testing.T, want []uint64, got []projections.Message) {
	t.Helper()
	if diff := cmp.Diff(want, positionsOf(got)); diff != "" {
		t.Errorf("positions (-want +got):\n%s", diff)
	}
}

func testOrder(t *testing.T, l Log) {
	want := l.publish(t, 1, 50)
	got := read(t, l.open(t, 0), 50)
	wantPositions(t, want, got)
	for i, m := range got {
		n := note(i + 1)
		if i > 0 && m.Position <= got[i-1].Position {
			t.Errorf("position %d after %d", m.Position, got[i-1].Position)
		}
		if m.Subject != n.Subject || string(m.Data) != string(n.Data) || !slices.Equal(m.Header["Number"], n.Header["Number"]) || m.Time.IsZero() {
			t.Errorf("message %d is %+v, want %+v with a time", i+1, m, n)
		}
		at, ok, err := l.At(t.Context(), m.Position)
		if err != nil || !ok {
			t.Fatalf("message %d: %t, %v", m.Position, ok, err)
		}
		if engine.FingerprintOf(&at).Digest != engine.FingerprintOf(&m).Digest || at.Position != m.Position || at.Partition != m.Partition || !at.Time.Equal(m.Time) {
			t.Errorf("At gives %+v, and reading gave %+v", at, m)
		}
	}
}

func testOpenAfter(t *testing.T, l Log) {
	all := l.publish(t, 1, 10)
	for n := range 10 {
		wantPositions(t, all[n:], read(t, l.open(t, all[n]-1), 10-n))
	}
}

func testBounds(t *testing.T, l Log) {
	all := l.publish(t, 1, 60)
	first, _, err := l.At(t.Context(), all[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name  string
		bound engine.Bound
		most  int
	}{
		{"messages", engine.Bound{Events: 7, Bytes: 1 << 20}, 7},
		{"bytes", engine.Bound{Events: 1000, Bytes: 3*first.Size() + 50}, 3}, // those with two digits are larger by less
		{"fewer bytes than a message has", engine.Bound{Events: 1000, Bytes: 1}, 1},
		{"nothing", engine.Bound{}, 1},
	} {
		r := l.open(t, 0)
		var got []projections.Message
		for len(got) < 60 {
			some, err := r.Next(limited(t), nil, test.bound)
			if err != nil {
				t.Fatalf("%s: %v", test.name, err)
			}
			if len(some) == 0 || len(some) > test.most {
				t.Fatalf("%s: a read of %d messages with bound %+v, want 1 to %d", test.name, len(some), test.bound, test.most)
			}
			got = append(got, some...)
		}
		wantPositions(t, all, got)
	}
}

func testAppend(t *testing.T, l Log) {
	l.publish(t, 1, 20)
	r := l.open(t, 0)
	var buf []projections.Message
	var said []string
	for len(buf) < 20 {
		before := len(buf)
		var err error
		if buf, err = r.Next(limited(t), buf, engine.Bound{Events: 3, Bytes: 1 << 20}); err != nil {
			t.Fatal(err)
		}
		for _, m := range buf[before:] {
			said = append(said, fmt.Sprint(m.Position, m.Subject, m.Header, string(m.Data)))
		}
	}
	for i, m := range buf {
		if now := fmt.Sprint(m.Position, m.Subject, m.Header, string(m.Data)); now != said[i] {
			t.Errorf("message %d was %s and is %s", i, said[i], now)
		}
	}
}

// waitsFor has Next wait, does something, and returns what Next then returned.
func waitsFor(t *testing.T, ctx context.Context, r engine.Reader, act func()) ([]projections.Message, error) {
	t.Helper()
	type result struct {
		messages []projections.Message
		err      error
	}
	done := make(chan result, 1)
	go func() {
		messages, err := r.Next(ctx, nil, wide)
		done <- result{messages, err}
	}()
	select {
	case got := <-done:
		t.Fatalf("Next does not wait: %d messages, %v", len(got.messages), got.err)
	case <-time.After(50 * time.Millisecond):
	}
	act()
	select {
	case got := <-done:
		return got.messages, got.err
	case <-time.After(patience):
		t.Fatal("Next goes on waiting")
	}
	return nil, nil
}

func testWait(t *testing.T, l Log) {
	l.publish(t, 1, 5)
	r := l.open(t, 0)
	read(t, r, 5)
	var want []uint64
	got, err := waitsFor(t, t.Context(), r, func() { want = l.publish(t, 6, 6) })
	if err != nil {
		t.Fatal(err)
	}
	wantPositions(t, want, got)
}

func testBeyond(t *testing.T, l Log) {
	end := l.publish(t, 1, 5)[4]
	r := l.open(t, end+2)
	var all []uint64
	got, err := waitsFor(t, t.Context(), r, func() { all = l.publish(t, 6, 10) })
	if err != nil {
		t.Fatal(err)
	}
	if want := slices.DeleteFunc(all, func(p uint64) bool { return p <= end+2 }); len(got) < len(want) {
		got = append(got, read(t, r, len(want)-len(got))...)
		wantPositions(t, want, got)
	} else {
		wantPositions(t, want, got)
	}
}

func testReadContext(t *testing.T, l Log) {
	l.publish(t, 1, 1)
	r := l.open(t, 0)
	read(t, r, 1)
	ctx, cancel := context.WithCancel(t.Context())
	if got, err := waitsFor(t, ctx, r, cancel); err == nil {
		t.Errorf("%d messages and no error after the context has ended", len(got))
	}
	cancel()
}

func testClose(t *testing.T, l Log) {
	l.publish(t, 1, 1)
	r := l.open(t, 0)
	read(t, r, 1)
	if got, err := waitsFor(t, t.Context(), r, r.Close); err == nil {
		t.Errorf("closed, Next returns %d messages and no error", len(got))
	}
	l.publish(t, 2, 2)
	if got, err := r.Next(limited(t), nil, wide); err == nil {
		t.Errorf("after that, Next returns %d messages and no error", len(got))
	}
	r.Close()
	if got := read(t, l.open(t, 0), 2); len(got) != 2 {
		t.Errorf("another reader has %d messages, want 2", len(got))
	}
}

func testReaders(t *testing.T, l Log) {
	all := l.publish(t, 1, 10)
	one, two := l.open(t, 0), l.open(t, all[4])
	wantPositions(t, all[5:], read(t, two, 5))
	wantPositions(t, all, read(t, one, 10))
	two.Close()
	wantPositions(t, l.publish(t, 11, 11), read(t, one, 1))
}

func testInfo(t *testing.T, l Log) {
	all := l.publish(t, 1, 3)
	info, err := l.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if info.Name == "" || info.Created.IsZero() || info.Time.IsZero() || info.Partitions < 1 || info.First != all[0] || info.Last != all[2] {
		t.Errorf("%+v; want a name, times, a number of partitions, and positions from %d to %d", info, all[0], all[2])
	}
	more := l.publish(t, 4, 4)
	if again, err := l.Info(t.Context()); err != nil || again.Last != more[0] || again.Name != info.Name || !again.Created.Equal(info.Created) {
		t.Errorf("with one more it is %+v, %v; was %+v", again, err, info)
	}
}

func testGap(t *testing.T, l Log) {
	if l.Remove == nil {
		t.Skip("nothing is removed from this source")
	}
	all := l.publish(t, 1, 9)
	for _, i := range []int{3, 4, 8} { // two in between, and the last one
		l.Remove(t, all[i])
	}
	left := slices.Concat(all[:3], all[5:8])
	wantPositions(t, left, read(t, l.open(t, 0), len(left)))
	for i, p := range all {
		m, ok, err := l.At(t.Context(), p)
		if err != nil || ok != slices.Contains(left, p) || ok && (m.Position != p || string(m.Data) != string(note(i+1).Data)) {
			t.Errorf("at %d: %d %q, %t, %v", p, m.Position, m.Data, ok, err)
		}
		next, ok, err := l.FirstAfter(t.Context(), p-1)
		j := slices.IndexFunc(left, func(q uint64) bool { return q >= p })
		if err != nil || ok != (j >= 0) || ok && next != left[j] {
			t.Errorf("the first from %d on is %d, %t, %v; want one of %v", p, next, ok, err, left)
		}
	}
	info, err := l.Info(t.Context())
	if err != nil || info.Last != all[8] {
		t.Errorf("the stream ends at %d, %v; want still %d, though its message was removed", info.Last, err, all[8])
	}
	wantPositions(t, l.publish(t, 10, 10), read(t, l.open(t, all[8]), 1))
}
