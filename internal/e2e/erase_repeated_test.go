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
	"accountexport/readmodel/export"
)

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

// TestPurgedErasureIsMadeAnew: somebody has purged the erased event, too. Both
// ways out that the refusal names end it.
func TestPurgedErasureIsMadeAnew(t *testing.T) {
	t.Parallel()
	for _, way := range [][]string{{"rebuild"}, {"accept", "--yes"}} {
		t.Run(way[0], func(t *testing.T) {
			t.Parallel()
			s := newSystem(t)
			projector := s.startProjector(t)
			s.publishMarked(t, someone, 3)
			s.publishMarked(t, another, 3)
			s.waitProjected(t)
			s.erase(t, someone, 0, nothingLeft)
			s.publishMarked(t, another, 3)
			s.waitProjected(t)
			projector.stop(t)
			first, err := s.client.FirstErased(t.Context(), uuid(t, someone))
			if err != nil {
				t.Fatal(err)
			}
			if gone, err := s.client.DeleteMessage(t.Context(), first.Position); err != nil || !gone {
				t.Fatal(gone, err)
			}
			s.mustRun(t, 18, "`projector "+way[0]+"`", "run")
			s.mustRun(t, 0, "1 erasures were carried out anew", way...)
			s.startProjector(t)
			s.waitProjected(t)
			s.mustRun(t, 0, "", "status")
			s.checkErased(t, someone)
			s.mustRun(t, 0, " 0 differ", "verify", "--all")
		})
	}
}
