package acts

import (
	"context"
	"fmt"

	"accountexport/events"
	"accountexport/projections"
	"accountexport/readmodel/admin"
)

// verifyUnattributed compares the parked messages that belong to no account with the
// stream: messages on subjects of neither kind, and those that no tier accepts. A
// difference has to be found twice, since an erasure removes messages from the one and
// then from the other.
func (v *Verifier) verifyUnattributed(ctx context.Context) error {
	var out Verdict
	for range 2 {
		stored, sum, h, err := admin.SumParkedWithoutAccount(ctx, v.Pool)
		if err != nil {
			return err
		}
		var there, want uint64
		if err := v.Stream.ReadAll(ctx, func(m projections.Message) error {
			if m.Position > h.CheckpointOf(&m) {
				return nil
			}
			if unattributed(events.ParseSubject(m.Subject), m) {
				there, want = there+1, want+m.Position
			}
			return nil
		}); err != nil {
			return err
		}
		if stored == there && sum == want {
			return nil
		}
		out = Verdict{Differences: []string{fmt.Sprintf("parked: stored %d, folded %d, of no account", stored, there)}}
		if stored == there {
			out.Differences[0] += ", at other positions"
		}
	}
	return v.report(out)
}
