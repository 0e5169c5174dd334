package ingest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"accountexport/internal/local/natsserver"
)

// TestAnErasureMeanwhileEndsItsAccount: the account is erased while its items are being
// published; none is stored behind its erased event, and other accounts go on. Without
// SkipErased all are published, as the relay of a control plane does.
func TestAnErasureMeanwhileEndsItsAccount(t *testing.T) {
	for _, skip := range []bool{true, false} {
		ctx := deadline(t)
		srv := natsserver.ForTest(t)
		c := provisioned(t, srv.URL(), 100*time.Millisecond)
		items := itemsOf(0, 200, 2)
		p := New(c, Options{SkipErased: skip, Window: 1})
		left, n := 0, 0
		if err := p.Publish(ctx, items, 0, func(_ int, a Ack) {
			if a.Erased {
				left++
			}
			if n++; n == 50 {
				erased, err := c.PublishErased(ctx, account(0), time.Date(2026, 3, 25, 7, 11, 48, 0, time.UTC))
				if err != nil {
					t.Error(err)
				}
				if _, err := c.PurgeAccount(ctx, account(0), erased.Position, nil); err != nil {
					t.Error(err)
				}
			}
		}); err != nil {
			t.Fatal(err)
		}
		got := stored(t, c)
		if diff := cmp.Diff(wanted(items)[items[1].Message.Subject], got[items[1].Message.Subject]); diff != "" {
			t.Errorf("of the other account: -want +got:\n%s", diff)
		}
		of := got[items[0].Message.Subject]
		if skip && (len(of) != 1 || left == 0) || !skip && (len(of) < 2 || left > 0) {
			t.Errorf("skip %v: %d were left out, and the stream holds %v", skip, left, of)
		}
	}
}
