package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"accountexport/events"
	"accountexport/internal/acts"
)

// TestComparingTheLedgerGoesOn: comparing the ledger with the stream continues where it was
// interrupted.
func TestComparingTheLedgerGoesOn(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	const many = 1200
	id := func(i int) string { return fmt.Sprintf("%08x-0d44-4b50-8888-8dd25736052a", i) }
	i := 0
	if _, err := s.client.PublishAll(t.Context(), func() (events.Message, bool) {
		if i++; i > many {
			return events.Message{}, false
		}
		m, err := events.NewAccountErased(newMeta(fmt.Sprint("e", i)), uuid(t, id(i)))
		if err != nil {
			t.Error(err)
		}
		return m, true
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.pool.Exec(t.Context(), `
INSERT INTO export.erasures (account_id, erased_at, position, stream_name, stream_created)
SELECT (lpad(to_hex(n), 8, '0')||'-0d44-4b50-8888-8dd25736052a')::uuid, now(), n, 'CONTROL_PLANE', now() FROM generate_series(1, $1::integer) n`, many); err != nil {
		t.Fatal(err)
	}
	on := acts.Target{Stream: s.client, Pool: s.pool}
	ctx, cancel := context.WithCancel(t.Context())
	c := &acts.LedgerChecker{Target: on, OnProgress: func(int) { cancel() }}
	if err := c.Check(ctx); err == nil || c.Compared == 0 || c.Compared == many {
		t.Fatalf("cut off: %v, %d compared", err, c.Compared)
	}
	if gone, err := s.client.DeleteMessage(t.Context(), 1); err != nil || !gone {
		t.Fatal(gone, err)
	}
	if err := c.Check(t.Context()); err != nil || c.Compared != many {
		t.Errorf("gone on: %v, %d compared", err, c.Compared)
	}
	if err := on.CheckLedger(t.Context()); !errors.Is(err, acts.ErrErasuresMissing) || !strings.Contains(err.Error(), id(1)) {
		t.Errorf("from the start: %v", err)
	}
}
