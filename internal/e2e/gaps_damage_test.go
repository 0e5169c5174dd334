package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"accountexport/events"
	"accountexport/internal/local/testrun"
	"accountexport/internal/workload"
	"accountexport/projections/engine"
)

// padded publishes messages of a type that nobody knows, of a size that four of them
// fill a file of the stream.
func (s *system) padded(t *testing.T, n int) {
	t.Helper()
	for i := range n {
		data := fmt.Sprintf(`{"specversion":"1.0","id":"p%d","source":"/test","type":"test.unknown.v1","time":"2026-03-25T07:11:48Z","data":{"x":"%s"}}`,
			i, strings.Repeat("x", 1_000_000))
		if _, err := s.client.PublishRaw(t.Context(), events.Message{Subject: "controlplane.account." + another, Data: []byte(data)}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRemovedBlockIsRefusedOnce: one of the stream's files is gone, the first,
// one in the middle or the last, while the server is away or, in the longer
// form, runs.
func TestRemovedBlockIsRefusedOnce(t *testing.T) {
	t.Parallel()
	for _, which := range []string{"first", "middle", "middle, of a server that runs"} {
		if which == "first" && !testrun.Long() {
			continue
		}
		t.Run(which, func(t *testing.T) {
			t.Parallel()
			s := newSystem(t)
			s.settings["AUDIT_RATE"] = "0"
			projector := launch(t, "projector", s.settings, "run")
			s.marked(t, someone, 5)
			s.padded(t, 20)
			s.marked(t, someone, 5)
			eventually(t, "everything projected", time.Minute, s.caughtUp)
			file := "2.blk"
			if which == "first" {
				file = "1.blk"
			}
			files, err := filepath.Glob(filepath.Join(s.nats.Dir(), "jetstream", "*", "streams", "CONTROL_PLANE", "msgs", file))
			if err != nil || len(files) != 1 {
				t.Fatalf("%v, %v", files, err)
			}
			if strings.HasSuffix(which, "runs") {
				s.freshly(t)
				err = os.Remove(files[0])
			} else {
				s.nats.Halt()
				if err = os.Remove(files[0]); err == nil {
					err = s.nats.Restart(t.Context())
				}
			}
			if err != nil {
				t.Fatal(err)
			}
			var gone engine.Ranges
			eventually(t, "the server to notice", time.Minute, func(ctx context.Context) (err error) {
				_, _ = s.client.Get(ctx, 16) // it does when it is asked for one of them
				if _, gone, err = s.client.Deleted(ctx); err == nil && len(gone) == 0 {
					err = errors.New("it has not")
				}
				return err
			})
			projector = s.refusesTheGap(t, projector, gone.String())
			if err := s.nats.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.publishSome(t)
			s.noGap(t)
			s.says(t, 0, "nothing to accept", "accept")
			projector.signal(syscall.SIGTERM)
			if status := projector.wait(); status != 0 {
				t.Errorf("run: exit %d", status)
			}
			s.says(t, 1, another, "verify", "--all")
		})
	}
}

// publishSome publishes what is ordinary, and waits until it is projected.
func (s *system) publishSome(t *testing.T) {
	t.Helper()
	eventually(t, "something to be published", time.Minute, func(ctx context.Context) error {
		return s.publish(ctx, workload.New(78, workload.Config{Accounts: 5}), 50, 0)
	})
	eventually(t, "everything projected", time.Minute, s.caughtUp)
}

// freshly starts the server anew: of what is in its files but for the last it
// has nothing in memory.
func (s *system) freshly(t *testing.T) {
	t.Helper()
	s.nats.Halt()
	if err := s.nats.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the server to answer", time.Minute, func(ctx context.Context) error {
		_, err := s.client.Info(ctx)
		return err
	})
}

// flippable publishes messages of which a text can be found in the stream's
// files, and gives the position of the first.
func (s *system) flippable(t *testing.T, text string, n int) (first uint64) {
	t.Helper()
	for i := range n {
		position, err := s.client.PublishRaw(t.Context(), events.Message{Subject: "controlplane.account." + another, Data: fmt.Appendf(nil, "%s-%d", text, i)})
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = position
		}
	}
	return first
}

// TestFlippedBitIsRefusedOnce: a message of which a bit has flipped before it
// was read, and that the server counts and does not deliver, in the middle of
// what is unread or as the last of all, is refused, before and after a restart
// of the server, and passed over once that is accepted.
func TestFlippedBitIsRefusedOnce(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	stop := func(p *process) {
		t.Helper()
		p.signal(syscall.SIGTERM)
		if status := p.wait(); status != 0 {
			t.Fatalf("run: exit %d", status)
		}
	}
	projector := launch(t, "projector", s.settings, "run")
	s.publishSome(t)
	stop(projector)

	first := s.flippable(t, "flip-a", 6)
	s.flipABit(t, "flip-a-2")
	s.flipABit(t, "flip-a-4")
	projector = s.refusesTheGap(t, nil, fmt.Sprint(first+2)) // once for both
	stop(projector)

	if testrun.Long() {
		first = s.flippable(t, "flip-b", 4)
		s.flipABit(t, "flip-b-3")
		projector = s.refusesTheGap(t, nil, fmt.Sprint(first+3))
		stop(projector)
	}

	// Of a server that runs.
	first = s.flippable(t, "flip-c", 4)
	s.padded(t, 10)
	s.freshly(t)
	s.flipInPlace(t, "flip-c-1")
	projector = s.refusesTheGap(t, nil, fmt.Sprint(first+1))
	s.freshly(t) // a server that is killed gives up the rest of a file after what is damaged
	s.publishSome(t)
	s.says(t, 0, "", "status")
	s.says(t, 0, "nothing to accept", "accept")
	stop(projector)
	projector = launch(t, "projector", s.settings, "run")
	s.publishSome(t)
	stop(projector)
	s.says(t, 0, "is live", "rebuild")
	s.says(t, 0, "", "status")
}

// flipInPlace flips a bit in the files of a server that runs.
func (s *system) flipInPlace(t *testing.T, text string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(s.nats.Dir(), "jetstream", "*", "streams", "CONTROL_PLANE", "msgs", "*.blk"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		b, err := io.ReadAll(f)
		if err != nil {
			t.Fatal(err)
		}
		if i := bytes.Index(b, []byte(text)); i >= 0 {
			if _, err := f.WriteAt([]byte{b[i] ^ 1}, int64(i)); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("%q is in none of %v", text, files)
}

// TestRebuildReportsWhatIsLost: messages that were folded are purged by hand,
// and a bit of one flips. A rebuild says which, and its comparison refuses;
// accepted, the new generation is live, and nothing is refused any more.
func TestRebuildReportsWhatIsLost(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := launch(t, "projector", s.settings, "run")
	s.marked(t, someone, 5)
	first := s.flippable(t, "flip-a", 3)
	s.publishSome(t)
	s.flipABit(t, "flip-a-1")
	st, err := jetStream(t, s.nats.URL()).Stream(t.Context(), "CONTROL_PLANE")
	if err == nil {
		err = st.DeleteMsg(t.Context(), 4)
	}
	if err != nil {
		t.Fatal(err)
	}
	if status, out := projector.wait(), projector.out.tail(1<<16); status != 18 {
		t.Fatalf("run: exit %d: %s", status, out)
	}
	out := s.says(t, 1, "the generations differ", "rebuild")
	for _, want := range []string{"has lost 1 messages that no erasure removed, at positions 4.", fmt.Sprintf("cannot give, at positions %d.", first+1),
		"account " + someone, "account " + another} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not said: %s", want, out)
		}
	}
	s.says(t, 18, "at positions 4:", "status")
	s.says(t, 0, "is live", "rebuild", "--restart", "--accept-differences")
	launch(t, "projector", s.settings, "run")
	s.publishSome(t)
	s.says(t, 0, "", "status")
	s.says(t, 0, "nothing to accept", "accept")
	s.noGap(t)
	s.says(t, 0, " 0 of them differ", "rebuild")
}
