package e2e

import (
	"testing"
	"time"

	"accountexport/internal/acts"
	"accountexport/internal/workload"
)

// TestVerifyBesideAnErasure: an account is erased while it is verified, after its row was read and
// before its messages were. That is no difference, and is not reported as one.
func TestVerifyBesideAnErasure(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.settings["AUDIT_RATE"] = "0"
	s.startProjector(t)
	s.publishComplete(t, uuid(t, someone))
	s.publishMarked(t, someone, 300)
	s.mustPublish(t, workload.New(31, workload.Config{Accounts: 5}), 200)
	s.waitProjected(t)
	var verdicts []acts.Verdict
	v := &acts.Verifier{Target: acts.Target{Stream: s.client, Pool: s.pool}, Limit: acts.NewReadLimit(1_000_000, 10_000),
		OnVerdict: func(v acts.Verdict) error {
			verdicts = append(verdicts, v)
			return nil
		}}
	ended := make(chan error, 1)
	go func() { ended <- v.Account(t.Context(), uuid(t, someone)) }()
	time.Sleep(time.Second) // it has read some 70 kB of the row by then
	s.mustRun(t, 0, "", "erase", "--account", someone)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	for _, v := range verdicts {
		if !v.Same() {
			t.Errorf("nothing is wrong, and verify tells %+v", v)
		}
	}
	s.mustRun(t, 0, " 0 differ", "verify", "--all")
}
