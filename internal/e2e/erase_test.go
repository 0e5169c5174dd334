package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"accountexport/events"
	"accountexport/internal/workload"
)

// TestErasedAccountLeavesNoTrace erases the first account of the stream, of which there are also
// messages on mistyped subjects. No byte of it is left in the stream or in a dump of the database,
// a rebuild still works, and erasing it again, or an unknown account, says so.
func TestErasedAccountLeavesNoTrace(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.startProjector(t)
	s.markSomeone(t)

	checkContains(t, s.erase(t, someone, 0, nothingLeft), "3 on mistyped subjects")
	s.checkNoTraces(t)
	s.checkRun(t, 0, "erased already", "erase", "--account", someone)
	unknown := strings.Replace(someone, "3c90", "4c90", 1)
	s.checkRun(t, 0, "never heard of", "erase", "--account", unknown)
	s.mustRun(t, 0, "", "rebuild")
	s.waitProjected(t)
	s.checkAgainstOracle(t)
	s.checkRun(t, 0, "", "verify", "--all")
}

// TestErasureIsCompletedAfterKills kills an erasure at many moments. The last run completes it, and
// its receipt says that nothing is left.
func TestErasureIsCompletedAfterKills(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := s.startProjector(t)
	s.markSomeone(t)
	for i := range 25 {
		p := launch(t, "projector", s.settings, "erase", "--account", someone)
		time.Sleep(time.Duration(10+4*i) * time.Millisecond)
		p.kill()
		s.checkExplained(t)
	}
	out, status := command(t, "projector", s.settings, "erase", "--account", someone, "--json")
	var receipt struct {
		Account      string `json:"account"`
		ErasedAt     uint64 `json:"erased_at_position"`
		MessagesLeft *int   `json:"messages_left"`
		RowsLeft     *int   `json:"rows_left"`
		Searched     int    `json:"messages_searched"`
	}
	if err := json.Unmarshal([]byte(out), &receipt); err != nil || status != 0 {
		t.Fatalf("erase: exit %d, %v: %s", status, err, out)
	}
	if receipt.Account != someone || receipt.ErasedAt == 0 || receipt.Searched == 0 ||
		receipt.MessagesLeft == nil || *receipt.MessagesLeft != 0 || receipt.RowsLeft == nil || *receipt.RowsLeft != 0 {
		t.Errorf("receipt: %s", out)
	}
	if where := s.findTraces(t); where != "" {
		t.Errorf("the marker is left: %s", where)
	}
	s.checkNoGap(t)
	if err := hasPrinted(projector, "refused")(t.Context()); err == nil {
		t.Error("an erasure that was killed was taken for a gap")
	}
	// A new generation counts only the messages that are left.
	s.mustRun(t, 0, "", "rebuild")
	s.waitProjected(t)
	s.checkAgainstOracle(t)
}

// markSomeone publishes, as the first of the stream, an account with the marker in every text, also
// on mistyped subjects, and makes a retired generation that holds it as well.
func (s *system) markSomeone(t *testing.T) {
	t.Helper()
	account := uuid(t, someone)
	publish := func(m events.Message, err error) {
		t.Helper()
		s.publishEvent(t, m, err)
	}
	n := 0
	meta := func() events.Meta {
		n++
		return newMeta(fmt.Sprint("x", n))
	}
	address := "someone@" + marker + ".example"
	publish(events.NewUserRegistered(meta(), account, events.UserRegistered{Email: address, Tier: "free", QuotaTierID: "free"}))
	for i := range 60 { // enough for sealed pages
		publish(events.NewSandboxCreated(meta(), account, events.SandboxCreated{ID: fmt.Sprint("sbx-", marker, i), Template: marker,
			Metadata: []byte(`{"secret":"` + marker + `"}`)}))
	}
	publish(events.NewSandboxStarted(meta(), account, events.SandboxStarted{ID: marker + "-never-created"}))
	s.publishRaw(t, events.AccountSubject(account), `not JSON, `+marker)
	s.publishRaw(t, "controlplane.account."+strings.ToUpper(someone), `{"x":"`+marker+`"}`)
	s.publishRaw(t, "controlplane.accounts.mistyped", `{"email":"`+strings.ToUpper(address)+`"}`)
	s.publishRaw(t, "controlplane.account.escaped", `{"email":"someone\u0040`+marker+`.example"}`)
	s.mustPublish(t, workload.New(1, workload.Config{Accounts: 10}), 500)
	publish(events.NewUserEmailVerified(meta(), account))
	s.waitProjected(t)
	s.mustRun(t, 0, "", "rebuild") // so that there is a retired generation to clear
	if s.findTraces(t) == "" {
		t.Fatal("the marker is nowhere even before: the test tests nothing")
	}
}
