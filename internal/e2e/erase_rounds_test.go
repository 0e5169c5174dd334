package e2e

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"accountexport/events"
	"accountexport/internal/workload"
	"accountexport/projections"
	"accountexport/readmodel"
	"accountexport/readmodel/export"
)

const another = "5c90c3cc-0d44-4b50-8888-8dd25736052a"

const nothingLeft = "left               0 messages, 0 rows"

// TestLateMessagesOfErasedAccounts: what comes after an erasure, strays on
// mistyped subjects among it, is removed by erasing again, also where the
// stream's last message was removed.
func TestLateMessagesOfErasedAccounts(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.startProjector(t)
	s.publishMarked(t, another, 3)
	s.publishMarked(t, someone, 3)
	s.waitProjected(t)
	s.erase(t, another, 0, nothingLeft)
	s.erase(t, someone, 0, nothingLeft)
	s.publishMarked(t, another, 1)
	s.publishStray(t, someone)
	s.publishMarked(t, another, 1)
	s.waitProjected(t)
	s.erase(t, another, 0, "2 of the account, 0 on mistyped subjects")
	s.erase(t, someone, 0, "0 of the account, 1 on mistyped subjects")
	s.checkNoTraces(t)
	s.erase(t, someone, 0, "was erased already")
	s.checkErased(t, another)
	s.checkErased(t, someone)
}

// TestErasureOutlivesARollback: a tombstone stays in every generation, whatever
// is erased again, so that rolling back brings nobody back.
func TestErasureOutlivesARollback(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.startProjector(t)
	s.publishMarked(t, someone, 3)
	s.waitProjected(t)
	s.erase(t, someone, 0, nothingLeft)
	s.mustRun(t, 0, "", "rebuild")
	s.erase(t, someone, 0, nothingLeft)
	s.mustRun(t, 0, "", "rollback")
	s.publishMarked(t, someone, 2)
	s.waitProjected(t)
	m, err := export.NewReader(s.pool).Meta(t.Context(), uuid(t, someone))
	if err != nil || m.State != export.Erased {
		t.Errorf("the account is %s, %v", stateName(m.State), err)
	}
	s.erase(t, someone, 0, nothingLeft)
	s.checkNoTraces(t)
	s.checkErased(t, someone)
	s.mustRun(t, 0, "", "rollback")
	s.waitProjected(t)
	s.checkErased(t, someone)
}

// TestErasureDuringARebuild erases an account that a rebuild has read and folded
// and has yet to commit, its stray, too: nothing of it gets into the generation
// that is being built, which goes on.
func TestErasureDuringARebuild(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.startProjector(t)
	s.publishMarked(t, someone, 20)
	s.publishStray(t, someone)
	s.mustPublish(t, workload.New(61, workload.Config{Accounts: 20}), 3000)
	s.waitProjected(t)
	waiting, release := s.holdCommits(t, "accountexport rebuild")
	rebuild := launch(t, "projector", s.settings, "rebuild", "--cutover=manual", "--max-rate", "2000")
	waiting(1)
	s.erase(t, someone, 0, nothingLeft)
	release()
	eventually(t, "the rebuild to go on", time.Minute, func(context.Context) error {
		if out := rebuild.out.tail(1 << 16); !strings.Contains(out, "fenced") {
			return fmt.Errorf("it says %s", out)
		}
		return nil
	})
	rebuild.kill()
	s.checkNoTraces(t)
	s.checkErased(t, someone)
	out, status := command(t, "projector", s.settings, "rebuild")
	if status != 0 || !strings.Contains(out, "generation 2 is live") {
		t.Fatalf("rebuild: exit %d: %s", status, out)
	}
	s.waitProjected(t)
	s.checkNoTraces(t)
	s.checkErased(t, someone)
	s.checkAgainstOracle(t)
}

// TestErasureOfTheStreamsBeginning: where the stream begins with one large
// account that a rebuild is in the middle of, erasing it ends well, and so does
// the next rebuild; whether the rebuild was killed or is at work.
func TestErasureOfTheStreamsBeginning(t *testing.T) {
	t.Parallel()
	for _, killed := range []bool{true, false} {
		t.Run(fmt.Sprint("killed ", killed), func(t *testing.T) {
			t.Parallel()
			s := newSystem(t)
			s.startProjector(t)
			s.publishMarked(t, someone, 1500)
			s.mustPublish(t, workload.New(62, workload.Config{Accounts: 20}), 300)
			s.waitProjected(t)
			rebuild := launch(t, "projector", s.settings, "rebuild", "--max-rate", "100")
			eventually(t, "the rebuild to be in the middle of the account", time.Minute, func(ctx context.Context) error {
				position, err := readmodel.LowestPosition(ctx, s.pool, 2)
				if err == nil && position == 0 {
					err = fmt.Errorf("it is at %d", position)
				}
				return err
			})
			if killed {
				rebuild.kill()
			}
			out := s.erase(t, someone, 0, nothingLeft)
			if !strings.Contains(out, "given up           generation 2") {
				t.Errorf("the receipt does not say what became of the generation: %s", out)
			}
			if !killed {
				// It begins anew by itself, or ends: what it had read is gone.
				if status := rebuild.wait(); status != 0 && status != 14 {
					t.Errorf("the rebuild exits %d", status)
				}
			}
			s.mustRun(t, 0, "", "rebuild")
			s.waitProjected(t)
			s.checkNoTraces(t)
			s.checkErased(t, someone)
			s.checkAgainstOracle(t)
		})
	}
}

// TestErasuresAtOnce: several erasures of one account, all of which have
// published before any of them goes on, end, and one event stays.
func TestErasuresAtOnce(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.startProjector(t)
	s.publishMarked(t, someone, 300)
	s.waitProjected(t)
	before := s.info(t)
	waiting, release := s.holdCommits(t, "accountexport %/%")
	var all []*process
	for range 3 {
		all = append(all, launch(t, "projector", s.settings, "erase", "--account", someone))
	}
	waiting(1)
	eventually(t, "all three to wait", time.Minute, func(context.Context) error {
		for i, p := range all {
			if !strings.Contains(p.out.tail(1<<16), "waiting until") {
				return fmt.Errorf("erasure %d does not", i)
			}
		}
		return nil
	})
	if info := s.info(t); info.Last != before.Last+1 {
		t.Errorf("%d messages were published, want one", info.Last-before.Last)
	}
	release()
	for i, p := range all {
		if status := p.wait(); status != 0 {
			t.Errorf("erasure %d: exit %d: %s", i, status, p.out.tail(1<<16))
		}
	}
	s.checkNoTraces(t)
	s.checkErased(t, someone)
	if m, err := export.NewReader(s.pool).Meta(t.Context(), uuid(t, someone)); err != nil || m.Position != before.Last+1 {
		t.Errorf("erased at %d, %v, and published at %d", m.Position, err, before.Last+1)
	}
}

// TestFirstErasureCounts: where somebody else has published account.erased, by
// another id, and twice, the first one stays, and only that.
func TestFirstErasureCounts(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.startProjector(t)
	s.publishMarked(t, someone, 3)
	for i := range 2 {
		m, err := events.NewAccountErased(newMeta(fmt.Sprint("theirs", i)), uuid(t, someone))
		if err == nil {
			_, _, err = s.client.Publish(t.Context(), m)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	s.waitProjected(t)
	s.erase(t, someone, 0, "erased at          position 4")
	s.checkErased(t, someone)
	s.checkNoTraces(t)

	// The server still knows the id of an event that is gone: its word for a
	// duplicate is not believed.
	s.publishMarked(t, another, 3)
	s.waitProjected(t)
	out := s.erase(t, another, 0, nothingLeft)
	position := uint64(0)
	if _, rest, ok := strings.Cut(out, "position "); ok {
		number, _, _ := strings.Cut(rest, ",")
		position, _ = strconv.ParseUint(number, 10, 64)
	}
	s.recordAndDelete(t, position)
	s.erase(t, another, 0, fmt.Sprintf("erased at          position %d", position+1))
	s.waitProjected(t)
	s.checkErased(t, another)
}

// TestErasureOfWhatWasPurgedByHand: an account whose messages were purged, and
// that has rows still, is erased, once that loss is accepted.
func TestErasureOfWhatWasPurgedByHand(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := s.startProjector(t)
	s.publishMarked(t, another, 2)
	s.publishMarked(t, someone, 5)
	s.publishStray(t, someone)
	s.waitProjected(t)
	if err := s.stream(t).Purge(t.Context(), jetstream.WithPurgeSubject("controlplane.*.account."+someone)); err != nil {
		t.Fatal(err)
	}
	s.refuseAndAcceptGap(t, projector, "3–7")
	s.erase(t, someone, 0, "0 of the account, 1 on mistyped subjects")
	s.checkErased(t, someone)
	s.erase(t, another, 0, nothingLeft)
	s.checkNoTraces(t)
}

// TestCopiesAreNamed: mirrors of the stream, and streams that source from it or
// from a mirror, are named by the receipt and by the exit status, and purged
// where each is named.
func TestCopiesAreNamed(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.startProjector(t)
	js := jetStream(t, s.nats.URL())
	for _, cfg := range []jetstream.StreamConfig{
		{Name: "MIRROR", Mirror: &jetstream.StreamSource{Name: "CONTROL_PLANE"}},
		{Name: "OF_THE_MIRROR", Sources: []*jetstream.StreamSource{{Name: "MIRROR"}}},
		{Name: "ELSEWHERE", Sources: []*jetstream.StreamSource{{Name: "CONTROL_PLANE",
			SubjectTransforms: []jetstream.SubjectTransformConfig{{Source: ">", Destination: "archive.>"}}}}},
		{Name: "UNRELATED", Subjects: []string{"unrelated"}},
	} {
		if _, err := js.CreateStream(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
	}
	s.publishMarked(t, another, 2)
	s.publishMarked(t, someone, 5)
	s.publishStray(t, someone)
	s.waitProjected(t)
	copies := []string{"MIRROR", "OF_THE_MIRROR", "ELSEWHERE"}
	eventually(t, "everything copied", time.Minute, func(ctx context.Context) error {
		for _, name := range copies {
			st, err := js.Stream(ctx, name)
			if err != nil {
				return err
			}
			if n := st.CachedInfo().State.Msgs; n != 8 {
				return fmt.Errorf("%s has %d", name, n)
			}
		}
		return nil
	})
	out := s.erase(t, someone, 1, nothingLeft)
	for _, name := range copies {
		if !strings.Contains(out, "copy               stream "+name+" KEEPS") {
			t.Errorf("stream %s is not named: %s", name, out)
		}
	}
	if strings.Contains(out, "UNRELATED") {
		t.Errorf("what is no copy is named: %s", out)
	}
	s.erase(t, someone, 1, "stream UNRELATED is no copy", "--purge-copies", "UNRELATED,MIRROR")
	s.erase(t, someone, 1, "--purge-copies ELSEWHERE,OF_THE_MIRROR", "--purge-copies", "MIRROR")
	s.erase(t, someone, 0, nothingLeft, "--purge-copies", "OF_THE_MIRROR,MIRROR,ELSEWHERE")
	for _, name := range copies {
		left := 0
		if err := s.client.WithStream(name).ReadAll(t.Context(), func(m projections.Message) error {
			left++
			if strings.Contains(strings.ToLower(m.Subject), someone) && !strings.HasPrefix(m.Subject, "controlplane.account.") {
				t.Errorf("stream %s holds %s", name, m.Subject)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if left < 2 || left > 3 { // the other's two, and the erased event
			t.Errorf("stream %s holds %d messages", name, left)
		}
	}
}

// TestErasureIsTestedFirst: what would keep an erasure from being done is named,
// all of it, before anything is published.
func TestErasureIsTestedFirst(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := s.startProjector(t)
	s.publishMarked(t, someone, 3)
	s.waitProjected(t)
	before := s.info(t)
	refused := func(settings map[string]string, says ...string) {
		t.Helper()
		out, status := command(t, "projector", settings, "erase", "--account", someone)
		if status != 1 {
			t.Errorf("exit %d, want 1: %s", status, out)
		}
		checkContains(t, out, says...)
		s.checkStreamUnchanged(t, before)
	}
	projector.kill()
	eventually(t, "the projector to count as dead", time.Minute, func(context.Context) error {
		out, status := command(t, "projector", s.settings, "erase", "--account", someone, "--dry-run")
		if status != 1 || !strings.Contains(out, "no projector runs") {
			return fmt.Errorf("exit %d: %s", status, out)
		}
		return nil
	})
	refused(s.settings, "no projector runs", "nothing was changed")
	s.startProjector(t)
	eventually(t, "the projector to run", time.Minute, func(context.Context) error {
		if out, status := command(t, "projector", s.settings, "erase", "--account", someone, "--dry-run"); status != 0 {
			return fmt.Errorf("exit %d: %s", status, out)
		}
		return nil
	})

	if err := s.nats.Restrict(t.Context(), "$JS.API.STREAM.PURGE.>", "$JS.API.STREAM.MSG.DELETE.*", "controlplane.account.*", "$JS.API.STREAM.LIST"); err != nil {
		t.Fatal(err)
	}
	s.waitProjected(t)
	restricted := map[string]string{}
	for k, v := range s.settings {
		restricted[k] = v
	}
	restricted["NATS_URL"] = strings.Replace(s.nats.URL(), "nats://", "nats://restricted:restricted@", 1)
	refused(restricted, "no permission to publish on $JS.API.STREAM.PURGE.CONTROL_PLANE", "no permission to publish on $JS.API.STREAM.MSG.DELETE.CONTROL_PLANE",
		"no permission to publish on controlplane.account."+someone, "no permission to publish on $JS.API.STREAM.LIST")

	s.updateStream(t, func(c *jetstream.StreamConfig) { c.DenyPurge = true })
	refused(s.settings, "has deny_purge", "nothing was changed")
}

// TestErasureNeedsAConsumer: a stream that may have one consumer has it for the
// projector.
func TestErasureNeedsAConsumer(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.allowOneConsumer(t)
	s.settings["AUDIT_RATE"] = "0"
	s.startProjector(t)
	s.publishMarked(t, someone, 3)
	s.waitProjected(t)
	s.erase(t, someone, 1, "max_consumers")
	if info := s.info(t); info.Last != 3 {
		t.Errorf("something was published: %+v", info)
	}
}

// TestErasureDryRun says what would be done, and does nothing.
func TestErasureDryRun(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.startProjector(t)
	s.publishMarked(t, someone, 3)
	s.publishStray(t, someone)
	s.waitProjected(t)
	documents, before := s.documents(t), s.info(t)
	s.erase(t, someone, 0, "would remove 3 messages of the account and 1 on mistyped subjects from stream CONTROL_PLANE, and 2 rows\nnothing was changed", "--dry-run")
	s.erase(t, someone, 0, `"erased_at_position":0,"messages":3,"strays":1,"rows":2,"copies_purged":[],"copies_kept":[]}`, "--dry-run", "--json")
	s.checkStreamUnchanged(t, before)
	if s.documents(t) != documents {
		t.Error("documents were changed")
	}
	s.erase(t, someone, 0, nothingLeft, "--yes")
	s.erase(t, someone, 0, "is erased already, at position 5", "--dry-run")
	s.checkNoTraces(t)
}
