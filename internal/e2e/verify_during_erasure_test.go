package e2e

import (
	"testing"
	"time"

	"accountexport/internal/acts"
	"accountexport/internal/workload"
)

// TestVerifyBesideAnErasure: an account is erased while it is looked at,
// between what is stored and what the stream holds. Nothing is wrong, and a
// difference is told, with exit status 1, and with the advice to restore the
// stream from a backup.
func TestVerifyBesideAnErasure(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.settings["AUDIT_RATE"] = "0"
	s.startProjector(t)
	s.publishComplete(t, uuid(t, someone))
	s.publishMarked(t, someone, 300)
	s.mustPublish(t, workload.New(31, workload.Config{Accounts: 5}), 200)
	s.waitProjected(t)
	var told []acts.Verdict
	v := &acts.Verifier{Target: acts.Target{Stream: s.client, Pool: s.pool}, Limit: acts.NewReadLimit(1_000_000, 10_000),
		OnVerdict: func(v acts.Verdict) error {
			told = append(told, v)
			return nil
		}}
	ended := make(chan error, 1)
	go func() { ended <- v.Account(t.Context(), uuid(t, someone)) }()
	time.Sleep(time.Second) // it reads some 70 kB of what is stored
	s.mustRun(t, 0, "", "erase", "--account", someone)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	for _, v := range told {
		if !v.Same() {
			t.Errorf("nothing is wrong, and verify tells %+v", v)
		}
	}
	s.mustRun(t, 0, " 0 differ", "verify", "--all")
}
