package stream

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"accountexport/events"
	"accountexport/projections"
)

// TestAnAccountUnderSeveralPartitions: the messages of an account that are stored under its
// partition and under one of another partition count are read in stream order, from any
// position up to any, whether there are few or many of them, and whichever of them are removed.
func TestAnAccountUnderSeveralPartitions(t *testing.T) {
	for _, n := range []int{2, 3, fewMessages, fewMessages + 1, 40} {
		t.Run(fmt.Sprintf("%d messages", n), func(t *testing.T) {
			ctx := deadline(t)
			c, _ := provisioned(t)
			untransformed := wanted("CONTROL_PLANE")
			untransformed.SubjectTransform = nil
			untransformed.Subjects = []string{"controlplane.>"}
			publish := func(subject string) uint64 {
				t.Helper()
				m := note(1)
				m.Subject = subject
				position, err := c.PublishRaw(ctx, events.Message{Subject: subject, Data: m.Data})
				if err != nil {
					t.Fatal(err)
				}
				return position
			}
			var want []uint64
			if _, err := c.js.UpdateStream(ctx, untransformed); err != nil {
				t.Fatal(err)
			}
			for i := range n {
				partition := 7
				if i%3 == 1 {
					partition = 4000
				}
				want = append(want, publish(fmt.Sprintf("controlplane.%d.account.%s", partition, account(7))))
				publish("controlplane.7.account." + account(8).String())
			}
			last := want[n-1]
			read := func(after, upTo uint64) (got []uint64) {
				t.Helper()
				if err := c.ReadAccountAfter(ctx, account(7), after, upTo, func(m projections.Message) error {
					got = append(got, m.Position)
					return nil
				}); err != nil {
					t.Fatal(err)
				}
				return got
			}
			between := func(after, upTo uint64) (out []uint64) {
				for _, p := range want {
					if p > after && p <= upTo {
						out = append(out, p)
					}
				}
				return out
			}
			for after := range last + 2 {
				for _, upTo := range []uint64{after, after + 1, after + 2, last - 1, last, last + 1} {
					if upTo == 0 {
						continue // the end
					}
					if diff := cmp.Diff(between(after, upTo), read(after, upTo)); diff != "" {
						t.Errorf("after %d up to %d: -want +got:\n%s", after, upTo, diff)
					}
				}
				if n > fewMessages && after > 6 {
					break // each takes a consumer
				}
			}
			if diff := cmp.Diff(want, read(0, 0)); diff != "" {
				t.Errorf("up to the end: -want +got:\n%s", diff)
			}
			if _, err := c.DeleteMessage(ctx, want[n/2]); err != nil {
				t.Fatal(err)
			}
			want = append(want[:n/2:n/2], want[n/2+1:]...)
			if diff := cmp.Diff(want, read(0, 0)); diff != "" {
				t.Errorf("after one was removed: -want +got:\n%s", diff)
			}
		})
	}
}

// TestAMessageIsRemovedWhileFewAreRead: what else there is of the account is read all the same,
// and reading ends.
func TestAMessageIsRemovedWhileFewAreRead(t *testing.T) {
	for _, gone := range [][]uint64{{2}, {3}, {4}, {2, 3}, {3, 4}, {2, 3, 4}} {
		t.Run(fmt.Sprint(gone), func(t *testing.T) {
			ctx := deadline(t)
			c, _ := provisioned(t)
			for range 4 {
				if _, err := c.PublishRaw(ctx, events.Message{Subject: "controlplane.account." + account(7).String()}); err != nil {
					t.Fatal(err)
				}
			}
			got := map[uint64]bool{}
			if err := c.ReadAccount(ctx, account(7), 0, func(m projections.Message) error {
				if got[m.Position] = true; m.Position > 1 {
					return nil
				}
				return remove(ctx, c, gone)
			}); err != nil {
				t.Fatal(err)
			}
			for _, p := range []uint64{1, 2, 3, 4} {
				if _, err := c.Get(ctx, p); err == nil && !got[p] {
					t.Errorf("message %d was not read", p)
				} else if err != nil && !errors.Is(err, ErrNoMessage) {
					t.Fatal(err)
				}
			}
		})
	}
}

func remove(ctx context.Context, c *Client, positions []uint64) error {
	for _, p := range positions {
		if _, err := c.DeleteMessage(ctx, p); err != nil {
			return err
		}
	}
	return nil
}
