package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"accountexport/internal/acts"
	"accountexport/internal/findings"
	"accountexport/readmodel/admin"
)

// findings is what a look finds now.
func (s *system) findings(ctx context.Context) ([]findings.Finding, error) {
	look := &acts.StatusMonitor{Target: acts.NewTarget(s.client, s.pool)}
	st, err := look.Poll(ctx)
	if err != nil {
		return nil, err
	}
	return findings.Of(st), nil
}

// TestFindingsAreMendedByTheirCommands: what needs attention in a real system is found, and is
// gone once the commands that it comes with were run as they stand, in their order.
func TestFindingsAreMendedByTheirCommands(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := s.startProjector(t)
	const another, third = "11111111-0d44-4b50-8888-8dd25736052a", "22222222-0d44-4b50-8888-8dd25736052a"
	for _, account := range []string{someone, another, third} {
		s.publishMarked(t, account, 3)
	}
	s.publishStray(t, third) // is parked
	s.waitProjected(t)
	kinds := func(all []findings.Finding) (what []findings.What) {
		for _, f := range all {
			what = append(what, f.What)
		}
		return what
	}
	expect := func(when string, want ...findings.What) (found []findings.Finding) {
		t.Helper()
		eventually(t, when, time.Minute, func(ctx context.Context) (err error) {
			if found, err = s.findings(ctx); err != nil {
				return err
			}
			if diff := cmp.Diff(want, kinds(found)); diff != "" {
				return fmt.Errorf("(-want +found):\n%s", diff)
			}
			return nil
		})
		return found
	}
	expect("a parked message alone", findings.Parked)

	s.mustRun(t, 0, "", "erase", "--account", someone)
	if err := admin.BeginErasure(t.Context(), s.pool, uuid(t, another), nil, false); err != nil {
		t.Fatal(err)
	}
	if _, err := s.pool.Exec(t.Context(), `UPDATE export.erasures SET entered_at = entered_at - interval '2 days'`); err != nil {
		t.Fatal(err)
	}
	s.mustRun(t, 0, "", "pause", "--note", "disk")
	found := expect("four things", findings.Paused, findings.ErasureUnfinished, findings.LedgerNotExported, findings.Parked)
	if at := found[1].Account; at == nil || at.String() != another {
		t.Errorf("the erasure is of %v", at)
	}
	told, _ := command(t, "projector", s.settings, "status")
	for _, f := range found[:3] {
		if !strings.Contains(told, "\n"+f.Text+"\n") {
			t.Errorf("status does not say %q: %s", f.Text, told)
		}
	}
	for _, f := range found {
		for _, call := range f.Commands {
			s.mustRun(t, 0, "", strings.Fields(call)[1:]...)
		}
	}
	expect("a parked message alone", findings.Parked) // its command only says why

	projector.signal(syscall.SIGTERM)
	projector.mustExit(t, 0)
	expect("no replica", findings.NoReplica, findings.Parked)
	s.publishMarked(t, third, 1)
	found = expect("a standstill", findings.NotProgressing, findings.NoReplica, findings.Parked)
	if found[0].Severity != findings.Broken || !slices.Equal(found[0].Commands, []string{"projector run"}) {
		t.Errorf("a standstill without a projector is %+v", found[0])
	}
	projector = launch(t, "projector", s.settings, strings.Fields(found[0].Commands[0])[1:]...)
	expect("a parked message alone", findings.Parked)

	recreateStream(t, s.nats.URL())
	projector.mustExit(t, 12)
	found = expect("the refusal", findings.Refused, findings.Problem, findings.NoReplica, findings.Parked)
	s.mustRun(t, 12, found[0].Text, "status")
	for _, call := range found[0].Commands { // each is a call that begins; what it comes to depends on the new stream
		if _, status := command(t, "projector", s.settings, strings.Fields(call)[1:]...); status == 2 {
			t.Errorf("`%s` is a wrong call", call)
		}
	}
}
