package admin_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/internal/local/testrun"
	"accountexport/internal/workload"
	"accountexport/projections/engine"
	"accountexport/readmodel/admin"
	"accountexport/readmodel/internal/readmodeltest"
	"accountexport/readmodel/store"
)

// wrongCounts are the rows of a generation that count another number of messages as
// dismissed than are parked and dismissed, by one statement. Accounts that are erased in
// any generation are left out: they have no dismissals any more, and the other
// generations may have yet to come to their erasure.
func wrongCounts(ctx context.Context, pool *pgxpool.Pool, generation, other int) (n int, err error) {
	err = pool.QueryRow(ctx, fmt.Sprintf(`
SELECT count(*) FROM export_g%d.account_export a WHERE a.dismissed <> (
    SELECT count(*) FROM export_g%[1]d.parked p JOIN export.generations g ON g.generation = %[1]d
    JOIN export.dismissals d ON d.stream_name = g.stream_name AND d.stream_created = g.stream_created AND d.position = p.position
    WHERE p.account_id = a.account_id)
AND NOT EXISTS (SELECT FROM export_g%[2]d.account_export e WHERE e.account_id = a.account_id AND e.erased_at IS NOT NULL)
AND NOT EXISTS (SELECT FROM export_g1.account_export e WHERE e.account_id = a.account_id AND e.erased_at IS NOT NULL)`, generation, other)).Scan(&n)
	return n, err
}

func countsAreRight(t *testing.T, pool *pgxpool.Pool, generations ...int) {
	t.Helper()
	for _, g := range generations {
		if n, err := wrongCounts(t.Context(), pool, g, generations[len(generations)-1]); n > 0 || err != nil {
			t.Errorf("generation %d: %d rows count another number of messages than are dismissed: %v", g, n, err)
		}
	}
}

// badDeploy parks n messages of n/10 accounts, each with another value in its
// reason, and one message of each account for another reason.
func badDeploy(t *testing.T, pool *pgxpool.Pool, n int) {
	t.Helper()
	readmodeltest.Exec(t, pool, fmt.Sprintf(`
INSERT INTO export_g1.account_export (account_id, partition, position, parked, version_minor, usage_low, usage_pages, key_pages, sandbox_pages, waiting)
SELECT lpad(to_hex(a), 32, '0')::uuid, a %% 4, %[1]d + a, 11, 0, '', 0, 0, 0, 0 FROM generate_series(1, %[1]d / 10) AS a;
INSERT INTO export_g1.parked (position, partition, account_id, sent_at, subject, type, reason, headers, payload)
SELECT i, i %% (%[1]d / 10) %% 4, lpad(to_hex(i %% (%[1]d / 10) + 1), 32, '0')::uuid, '2026-03-25 12:00:00Z'::timestamptz + i * interval '1 ms', 's',
    'controlplane.sandbox.started.v1', 'data.id: found ' || i || ', want a text', '', '{}' FROM generate_series(1, %[1]d) AS i;
INSERT INTO export_g1.parked (position, partition, account_id, sent_at, subject, type, reason, headers, payload)
SELECT %[1]d + a, a %% 4, lpad(to_hex(a), 32, '0')::uuid, '2026-03-26 12:00:00Z'::timestamptz + a * interval '1 ms', 's', 'controlplane.user.restored.v1',
    'time: found "hunter2", want a time', '', '{}' FROM generate_series(1, %[1]d / 10) AS a`, n))
}

// TestABadDeployIsGroupedAndDismissed: what one mistake parked is one group whatever
// the values, is dismissed and taken back as a whole, and nothing else is. Repeated,
// it changes nothing.
func TestABadDeployIsGroupedAndDismissed(t *testing.T) {
	n := testrun.AtLength(3000, 20000)
	pool, s := readmodeltest.Open(t)
	readmodeltest.Acquire(t, s)
	badDeploy(t, pool, n)
	began := time.Now()
	took := func(what string) {
		t.Logf("%s: %v", what, time.Since(began).Round(time.Millisecond))
		began = time.Now()
	}
	groups, err := admin.GroupParked(t.Context(), pool, admin.ParkedFilter{}, admin.ByReason)
	if err != nil || len(groups) != 2 || groups[0].Key != "data.id: found a number, want a text" || groups[0].Messages != int64(n) ||
		groups[0].Accounts != int64(n/10) || groups[0].First != 1 || groups[0].Last != uint64(n) || groups[1].Messages != int64(n/10) {
		t.Fatalf("%v, %v", groups, err)
	}
	took("grouped")
	choose := func(f admin.ParkedFilter, want int) *admin.ParkedSelection {
		t.Helper()
		c, err := admin.SelectParked(t.Context(), pool, f)
		if err != nil || len(c.Messages) != want || c.Total != int64(n+n/10) {
			t.Fatalf("%+v: %d of %d chosen, want %d of %d: %v", f, len(c.Messages), c.Total, want, n+n/10, err)
		}
		return &c
	}
	bad := choose(admin.ParkedFilter{Reason: "DATA.ID"}, n)
	took("chosen")
	for _, want := range []int{n, 0} {
		if done, err := bad.Dismiss(t.Context(), pool, "published again", false); done != want || err != nil {
			t.Fatalf("%d dismissed, want %d: %v", done, want, err)
		}
		took("dismissed")
	}
	countsAreRight(t, pool, 1)
	id := events.UUID{15: 1}
	took("looked")
	for f, want := range map[admin.ParkedFilter]int{
		{Dismissed: true}:                                       n,
		{Type: "user.restored.v1"}:                              n / 10,
		{Type: "controlplane.user.restored.v1"}:                 n / 10,
		{Type: "user.restored.v1", Dismissed: true}:             0,
		{Type: "restored"}:                                      0,
		{Reason: "hunter2"}:                                     0,
		{Reason: "found a text"}:                                n / 10,
		{From: 7, To: 9}:                                        3,
		{From: uint64(n) + 1}:                                   n / 10,
		{Since: readmodeltest.Noon.Add(24 * time.Hour)}:         n / 10,
		{Account: &id}:                                          11,
		{Account: &id, Dismissed: true, From: uint64(n/10) + 1}: 9,
		{Account: &id, Reason: "time: ", To: math.MaxInt64}:     1,
	} {
		choose(f, want)
		took(fmt.Sprintf("chosen by %+v", f))
	}
	if done, err := choose(admin.ParkedFilter{To: uint64(n / 2)}, n/2).Undismiss(t.Context(), pool, "they were others"); done != n/2 || err != nil {
		t.Fatalf("%d taken back: %v", done, err)
	}
	took("taken back")
	countsAreRight(t, pool, 1)
	if done, err := bad.Undismiss(t.Context(), pool, "all of them"); done != n/2 || err != nil {
		t.Errorf("%d taken back after that: %v", done, err)
	}
	m, err := admin.FindParked(t.Context(), pool, 1)
	if err != nil || m.DismissedAt != nil || len(m.Undismissed) != 1 || m.Undismissed[0].Note != "they were others" || m.Undismissed[0].Dismissal != "published again" {
		t.Errorf("on record: %+v, %v", m, err)
	}
	if left, err := counting(t.Context(), pool); left != int64(n+n/10) || err != nil {
		t.Errorf("%d count, %v", left, err)
	}
	countsAreRight(t, pool, 1)
}

// TestDismissingOfAnotherStream: positions that were selected in one stream dismiss
// nothing in another one.
func TestDismissingOfAnotherStream(t *testing.T) {
	pool, s := readmodeltest.Open(t)
	readmodeltest.Acquire(t, s)
	badDeploy(t, pool, 100)
	c, err := admin.SelectParked(t.Context(), pool, admin.ParkedFilter{})
	if err != nil {
		t.Fatal(err)
	}
	readmodeltest.Exec(t, pool, `UPDATE export.generations SET stream_created = stream_created + interval '1 day'`)
	if n, err := c.Dismiss(t.Context(), pool, "x", false); n != 0 || !errors.Is(err, admin.ErrOtherStream) {
		t.Errorf("%d dismissed, %v", n, err)
	}
	if n, err := c.Undismiss(t.Context(), pool, "x"); n != 0 || !errors.Is(err, admin.ErrOtherStream) {
		t.Errorf("%d taken back, %v", n, err)
	}
}

// TestDismissalsCountWhateverGoesOn: messages are dismissed and taken back in bulk, by
// several callers at once and cut off anywhere, while accounts are projected,
// refolded, erased and rebuilt. Each row counts those of its messages that are parked
// and dismissed, at every moment and in every generation.
func TestDismissalsCountWhateverGoesOn(t *testing.T) {
	seeds := 2
	if testrun.Long() {
		seeds = 40
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			dismissWhileAllGoesOn(t, uint64(seed))
		})
	}
}

func dismissWhileAllGoesOn(t *testing.T, seed uint64) {
	log := readmodeltest.NewLog(seed+300, 2000, workload.Config{Accounts: 12, HostileShare: 0.4, ErasureShare: 0.001})
	pool, s := readmodeltest.Open(t)
	log[:1400].Project(t, s, engine.Options{})
	heard := log[:1400].CountConsumed(t)
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	did := make([]int, 9)
	go1 := func(which int, each func(r *rand.Rand) int) {
		r := rand.New(rand.NewPCG(seed, uint64(which)))
		wg.Go(func() {
			for ctx.Err() == nil {
				did[which] += each(r)
			}
		})
	}
	// Some callers dismiss and take back, and are cut off now and then.
	for i := range 8 {
		go1(i, func(r *rand.Rand) (n int) {
			f := admin.ParkedFilter{From: 1 + r.Uint64N(2000)}
			f.To = f.From + r.Uint64N(1000)
			within, cancel := context.WithCancel(ctx)
			if r.IntN(2) == 0 {
				within, cancel = context.WithTimeout(ctx, time.Duration(r.IntN(60))*time.Millisecond)
			}
			defer cancel()
			c, err := admin.SelectParked(within, pool, f)
			if err != nil {
				return 0
			}
			if i%2 == 0 {
				n, _ = c.Dismiss(within, pool, "x", r.IntN(2) == 0) // may be cut off
			} else {
				n, _ = c.Undismiss(within, pool, "y")
			}
			return n
		})
	}
	// One caller refolds, which fences the projectors.
	go1(8, func(*rand.Rand) int {
		for id := range heard {
			// A refold leaves a row alone that records what it was made of, and is right.
			_, _ = pool.Exec(ctx, `UPDATE export_g1.account_export SET counted_at = NULL WHERE account_id = $1`, [16]byte(id))
			if _, err := admin.RefoldAccounts(ctx, pool, []events.UUID{id}, false, log.ReadAccount); err == nil {
				return 1
			}
			break
		}
		return 0
	})
	// One builds a generation, whose tables exist when it begins.
	if _, err := store.NewBuilder(pool, "builder", false, readmodeltest.Quiet).Acquire(t.Context(), readmodeltest.Stream); err != nil {
		t.Fatal(err)
	}
	built := make(chan error, 1)
	go func() {
		p := engine.New(log, store.NewBuilder(pool, "builder", false, readmodeltest.Quiet), engine.Options{Logger: readmodeltest.Quiet,
			Batch: engine.Bound{Events: 8, Bytes: 1 << 20}})
		defer p.Close()
		built <- p.RunToEnd(ctx)
	}()
	for n := 1500; n <= len(log); n += 100 {
		for again := true; again; {
			p := engine.New(log[:n], s, engine.Options{Logger: readmodeltest.Quiet, Batch: engine.Bound{Events: 40, Bytes: 1 << 20}})
			again = p.RunToEnd(ctx) != nil && ctx.Err() == nil // it was fenced and begins again
			p.Close()
		}
		countsAreRight(t, pool, 1, 2)
	}
	if err := <-built; err != nil {
		t.Fatal(err)
	}
	countsAreRight(t, pool, 1, 2)
	stop()
	wg.Wait()
	countsAreRight(t, pool, 1, 2)
	c, err := admin.SelectParked(t.Context(), pool, admin.ParkedFilter{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Dismiss(t.Context(), pool, "all", false); err != nil {
		t.Fatal(err)
	}
	countsAreRight(t, pool, 1, 2)
	if n, err := counting(t.Context(), pool); n != 0 || err != nil {
		t.Errorf("%d count though all are dismissed: %v", n, err)
	}
	if did[8] == 0 || did[0]+did[2]+did[4]+did[6] == 0 || did[1]+did[3]+did[5]+did[7] == 0 {
		t.Errorf("too little was done: %v", did)
	}
	t.Logf("%d parked; dismissed and taken back %v", c.Total, did)
}

// counting is the number of parked messages that were not dismissed.
func counting(ctx context.Context, pool *pgxpool.Pool) (int64, error) {
	st, err := admin.ReadStatus(ctx, pool)
	return st.Parked, err
}
