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

// TestLateMessagesOfErasedAccounts: messages that come after an erasure, also on mistyped subjects,
// are removed by erasing again, even if the stream's last message is one of them.
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

// TestErasureOutlivesARollback: every generation keeps the tombstone, also after the account is
// erased again, so that a rollback does not bring the account back.
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

// TestErasuresAtOnce: several erasures of one account that have all asked to publish before any of
// them continues succeed, and one erased event stays.
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

// TestFirstErasureCounts: when account.erased was published twice by another producer and with
// other ids, the first one stays and no other.
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

	// The server still knows the id of a deleted event, and calls a new one a
	// duplicate. The erasure does not rely on that answer.
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

// TestErasureOfWhatWasPurgedByHand: an account whose messages were purged by hand, and that still
// has rows, can be erased once the loss is accepted.
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

// TestPurgedErasureIsMadeAnew: the erased event itself was purged by hand. Both commands that the
// refusal names publish it anew.
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
