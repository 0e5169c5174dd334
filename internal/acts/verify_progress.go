package acts

import (
	"context"

	"accountexport/events"
	"accountexport/readmodel/admin"
)

// progressEvery is the number of messages of a pass after which progress is reported
// although no account was compared meanwhile.
const progressEvery = 1 << 16

// progress is how far [Verifier.All] is.
type progress struct {
	running bool
	before  int // accounts that were compared before this call of All
	rows    int // accounts that the read model had when it began
}

// beginProgress counts the accounts of the read model, which costs one scan of their
// ids. Without OnProgress it does nothing.
func (v *Verifier) beginProgress(ctx context.Context) error {
	if v.OnProgress == nil {
		return nil
	}
	v.progress = progress{running: true, before: v.Accounts}
	err := admin.EachAccount(ctx, v.Pool, func(events.UUID) error {
		v.progress.rows++
		return nil
	})
	if err != nil {
		v.endProgress()
		return err
	}
	v.reportProgress()
	return nil
}

func (v *Verifier) endProgress() { v.progress.running = false }

// reportProgress calls OnProgress while All runs. Accounts that only the stream knows
// are counted once they are found, so the total may grow towards the end.
func (v *Verifier) reportProgress() {
	if v.progress.running {
		compared := v.Accounts - v.progress.before
		v.OnProgress(compared, max(v.progress.rows, compared))
	}
}
