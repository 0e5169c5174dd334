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

	"github.com/nats-io/nats.go/jetstream"

	"accountexport/events"
	"accountexport/internal/local/testrun"
	"accountexport/internal/workload"
	"accountexport/projections"
	"accountexport/readmodel"
)

// remove removes messages as an erasure does: they are noted before.
func (s *system) remove(t *testing.T, positions ...uint64) {
	t.Helper()
	info, err := s.client.Info(t.Context())
	if err == nil {
		err = readmodel.BookRemovals(t.Context(), s.pool, info, positions)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, position := range positions {
		if gone, err := s.client.Remove(t.Context(), position); err != nil || !gone {
			t.Fatalf("remove message %d: %v, %v", position, gone, err)
		}
	}
}

// refusesTheGap: `run`, which may be at it, and `status` end with 18 and name
// the positions; `accept` says so, too, and changes nothing unless told; then
// `run` goes on, and nothing more is said.
func (s *system) refusesTheGap(t *testing.T, running *process, positions string) (goesOn *process) {
	t.Helper()
	if running == nil {
		running = launch(t, "projector", s.settings, "run")
	}
	if status, out := running.wait(), running.out.tail(1<<16); status != 18 {
		t.Fatalf("run: exit %d, want 18: %s", status, out)
	}
	documents := s.documents(t)
	for _, command := range []string{"status", "run"} {
		out := s.says(t, 18, "messages are missing that nobody removed", command)
		for _, want := range []string{"at positions " + positions, "still served", "restore", "projector rebuild", "projector accept"} {
			if !strings.Contains(out, want) {
				t.Errorf("%s: %q is not said: %s", command, want, out)
			}
		}
	}
	s.says(t, 1, "at positions "+positions, "accept")
	if s.documents(t) != documents {
		t.Error("documents were touched")
	}
	s.says(t, 0, "goes on without them", "accept", "--yes")
	s.says(t, 0, "nothing to accept", "accept")
	running = launch(t, "projector", s.settings, "run")
	if err := s.publish(t.Context(), workload.New(77, workload.Config{Accounts: 5}), 50, 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	s.says(t, 0, "", "status")
	return running
}

// TestPurgeByHandIsRefusedOnce: messages that somebody purged, folded ones, are
// missed while `run` is at it and at its start, before and after a restart of
// the server.
func TestPurgeByHandIsRefusedOnce(t *testing.T) {
	t.Parallel()
	s, served := newWithSomeone(t)
	projector := launch(t, "projector", s.settings, "run")
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	before := served()
	js := jetStream(t, s.nats.URL())
	purge(t, js, 101)
	projector = s.refusesTheGap(t, projector, "1–100")
	if now := served(); now != before {
		t.Errorf("served is %s, and was %s", now, before)
	}
	projector.signal(syscall.SIGTERM)
	projector.wait()
	st, err := js.Stream(t.Context(), "CONTROL_PLANE")
	if err != nil {
		t.Fatal(err)
	}
	for _, position := range []uint64{150, 151, 153} {
		if err := st.DeleteMsg(t.Context(), position); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.nats.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.refusesTheGap(t, nil, "150–151, 153")
	s.says(t, 1, "account "+someone, "verify", "--all")
}

// explained requires that no more is missing than is explained, and tells both.
func (s *system) explained(t *testing.T) (explained, missing uint64) {
	t.Helper()
	info, err := s.client.Info(t.Context()) // first: what is gone by now was noted by now
	if err != nil {
		t.Fatal(err)
	}
	m, err := readmodel.FindMissing(t.Context(), s.pool, info)
	if err != nil {
		t.Fatal(err)
	}
	if m.Explained < info.Missing() {
		t.Errorf("%d messages are missing, and %d are explained", info.Missing(), m.Explained)
	}
	return m.Explained, info.Missing()
}

// noGap requires that exactly what is missing is explained, and that nobody says
// otherwise.
func (s *system) noGap(t *testing.T) {
	t.Helper()
	if explained, missing := s.explained(t); explained != missing {
		t.Errorf("%d messages are missing, and %d are explained", missing, explained)
	}
	if out, status := command(t, "projector", s.settings, "status"); status == 18 {
		t.Errorf("status: %s", out)
	}
}

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
			var gone projections.Ranges
			eventually(t, "the server to notice", time.Minute, func(ctx context.Context) (err error) {
				_, _ = s.client.Get(ctx, 16) // it does when it is asked for one of them
				if _, gone, err = s.client.Gone(ctx); err == nil && len(gone) == 0 {
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

// TestErasuresAreNoGaps: while `run` looks, accounts are erased, several at
// once, and killed at many moments; nothing is refused, and in the end exactly
// what is missing is explained. What is purged by hand beside them is refused
// all the same.
func TestErasuresAreNoGaps(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := launch(t, "projector", s.settings, "run")
	accounts := []string{someone, another}
	rounds := 2
	if testrun.Long() {
		rounds = 40
	}
	for i := range rounds {
		for _, account := range accounts {
			s.marked(t, account, 30)
			s.stray(t, account)
		}
		eventually(t, "everything projected", time.Minute, s.caughtUp)
		var all []*process
		for _, account := range append(accounts, accounts...) {
			all = append(all, launch(t, "projector", s.settings, "erase", "--account", account))
		}
		for j, p := range all {
			if i%2 == 0 {
				time.Sleep(time.Duration(20*i+10*j) * time.Millisecond)
				p.kill()
			} else if status := p.wait(); status != 0 {
				t.Errorf("erase: exit %d: %s", status, p.out.tail(1<<16))
			}
			s.explained(t)
		}
	}
	for _, account := range accounts {
		s.erase(t, account, 0, nothingLeft)
		s.mustBeErased(t, account)
	}
	s.noTraces(t)

	// An erasure that is killed once it has noted what it removes hides nothing
	// but that.
	s.marked(t, another, 5)
	var noted []uint64
	err := s.client.ReadAccount(t.Context(), uuid(t, another), 0, func(m projections.Message) error {
		noted = append(noted, m.Position)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	s.publishSome(t)
	info, err := s.client.Info(t.Context())
	if err == nil {
		err = readmodel.BookRemovals(t.Context(), s.pool, info, noted[1:])
	}
	if err != nil {
		t.Fatal(err)
	}
	s.says(t, 0, "", "status")
	lost := info.Last - 3
	st, err := jetStream(t, s.nats.URL()).Stream(t.Context(), "CONTROL_PLANE")
	if err == nil {
		err = st.DeleteMsg(t.Context(), lost)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.refusesTheGap(t, projector, fmt.Sprint(lost))
	if explained, missing := s.explained(t); explained != missing+5 {
		t.Errorf("%d messages are missing, and %d are explained", missing, explained)
	}
	s.erase(t, another, 0, nothingLeft)
	s.noGap(t)
	s.says(t, 0, "is live", "rebuild", "--accept-differences")
	s.publishSome(t)
	s.noGap(t)
}

// TestMissingIsTakenOn: what is missing when nothing is known of a stream yet,
// as right after a migration, is not refused, whether `run` or an erasure looks
// first; without the migration both say what is to be done, before anything is.
func TestMissingIsTakenOn(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := launch(t, "projector", s.settings, "run")
	s.marked(t, someone, 5)
	s.marked(t, another, 5)
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	s.erase(t, someone, 0, nothingLeft)
	forget := func() {
		t.Helper()
		if _, err := s.pool.Exec(t.Context(), `TRUNCATE export.missing, export.removals`); err != nil {
			t.Fatal(err)
		}
	}
	forget()
	s.erase(t, another, 0, nothingLeft)
	s.noGap(t)
	projector.signal(syscall.SIGTERM)
	projector.wait()
	forget()
	s.says(t, 0, "", "status")
	projector = launch(t, "projector", s.settings, "run")
	s.publishSome(t)
	s.noGap(t)
	s.says(t, 0, "nothing to accept", "accept")

	if _, err := s.pool.Exec(t.Context(), `ALTER TABLE export.missing RENAME TO of_a_later_schema`); err != nil {
		t.Fatal(err)
	}
	s.marked(t, another, 1)
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	before, err := s.client.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.erase(t, another, 1, "`projector provision` brings it up to date")
	if now, err := s.client.Info(t.Context()); err != nil || now.Last != before.Last || now.Messages != before.Messages {
		t.Errorf("something was done: %+v, %v", now, err)
	}
	projector.signal(syscall.SIGTERM)
	projector.wait()
	s.says(t, 1, "`projector provision` brings it up to date", "run")
}

// TestPromotedMirrorIsTakenOn: a mirror keeps positions, so it is missing what
// its origin was; once it is accepted in its place, that is known of it, too,
// and an erasure in it is no gap.
func TestPromotedMirrorIsTakenOn(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := launch(t, "projector", s.settings, "run")
	s.marked(t, another, 5)
	s.marked(t, someone, 5)
	s.publishSome(t)
	s.erase(t, someone, 0, nothingLeft)
	js := jetStream(t, s.nats.URL())
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "PROMOTED", Storage: jetstream.FileStorage,
		Mirror: &jetstream.StreamSource{Name: "CONTROL_PLANE"}}); err != nil {
		t.Fatal(err)
	}
	origin, err := js.Stream(t.Context(), "CONTROL_PLANE")
	if err != nil {
		t.Fatal(err)
	}
	was := origin.CachedInfo()
	eventually(t, "all to be mirrored", time.Minute, func(ctx context.Context) error {
		mirror, err := js.Stream(ctx, "PROMOTED")
		if err != nil {
			return err
		}
		if at := mirror.CachedInfo().State; at.LastSeq != was.State.LastSeq || at.Msgs != was.State.Msgs {
			return fmt.Errorf("it has %d up to %d", at.Msgs, at.LastSeq)
		}
		return nil
	})
	projector.signal(syscall.SIGTERM)
	projector.wait()
	deleteStream(t, s.nats.URL())
	promoted := was.Config
	promoted.Name = "PROMOTED"
	if _, err := js.UpdateStream(t.Context(), promoted); err != nil {
		t.Fatal(err)
	}
	s.settings["STREAM"] = "PROMOTED"
	s.client = s.client.On("PROMOTED")
	s.says(t, 11, "this is another stream", "run")
	s.says(t, 0, "goes on with stream PROMOTED", "accept", "--yes")
	s.noGap(t)
	launch(t, "projector", s.settings, "run")
	s.publishSome(t)
	s.erase(t, another, 0, nothingLeft)
	s.mustBeErased(t, another)
	s.says(t, 0, "", "status")
	s.says(t, 0, "nothing to accept", "accept")
}
