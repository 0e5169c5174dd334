package admin_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/internal/local/testrun"
	"accountexport/internal/workload"
	"accountexport/projections"
	"accountexport/projections/engine"
	"accountexport/readmodel"
	"accountexport/readmodel/admin"
	"accountexport/readmodel/internal/readmodeltest"
	"accountexport/readmodel/store"
)

// TestFoldedOnTwice: one account of a partition cannot be read under the lock, after
// another one was folded further there. That one moves again before it is refolded by
// itself, and loses nothing.
func TestFoldedOnTwice(t *testing.T) {
	for seed := uint64(21); seed < 21+uint64(testrun.AtLength(2, 4)); seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			log := readmodeltest.NewBusyLog(seed, 900, workload.Config{Accounts: 30})
			upToNow := len(log) / 2
			pool, s := readmodeltest.Open(t)
			log[:upToNow].Project(t, s, engine.Options{})
			ids := slices.SortedFunc(maps.Keys(log[:upToNow].CountConsumed(t)), func(a, b events.UUID) int { return bytes.Compare(a[:], b[:]) })
			s.Close(t.Context())
			var most int
			if err := pool.QueryRow(t.Context(), `SELECT partition FROM export_g1.account_export GROUP BY 1 ORDER BY count(*) DESC LIMIT 1`).Scan(&most); err != nil {
				t.Fatal(err)
			}
			ids = slices.DeleteFunc(ids, func(id events.UUID) bool {
				var p int
				if err := pool.QueryRow(t.Context(), `SELECT partition FROM export_g1.account_export WHERE account_id = $1`, [16]byte(id)).Scan(&p); err != nil {
					t.Fatal(err)
				}
				return p != most
			})
			readmodeltest.Exec(t, pool, `UPDATE export_g1.account_export SET digest_low = digest_low # 5 WHERE partition = `+fmt.Sprint(most))
			clean, cs := readmodeltest.Open(t)
			log.Project(t, cs, engine.Options{})
			goesOn := store.NewStore(pool, "goes on", readmodeltest.Quiet)
			bad := ids[len(ids)-1] // the last one
			calls := map[events.UUID]int{}
			failed := false
			var mu sync.Mutex
			read := func(ctx context.Context, id events.UUID, after, upTo uint64, each func(projections.Message) error) error {
				mu.Lock()
				defer mu.Unlock()
				calls[id]++
				if id == bad && after > 0 && !failed {
					failed = true
					return fmt.Errorf("%w: by this test", admin.ErrUnfoldable)
				}
				return log.ReadAccount(ctx, id, after, upTo, each)
			}
			// The projector goes on whenever the folds are done and the lock is free.
			first := true
			wrapped := func(ctx context.Context, id events.UUID, after, upTo uint64, each func(projections.Message) error) error {
				err := read(ctx, id, after, upTo, each)
				if first && id == bad && after == 0 { // all accounts are folded by now
					first = false
					upToNow = len(log) * 3 / 4
					log[:upToNow].Project(t, goesOn, engine.Options{})
				}
				return err
			}
			// After the failure every account is prepared by itself: the projector goes
			// on as one is staged, by a trigger that stands for time that passes.
			stop := make(chan struct{})
			var wg sync.WaitGroup
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					case <-time.After(time.Millisecond):
					}
					mu.Lock()
					f := failed
					mu.Unlock()
					if f && upToNow < len(log) {
						upToNow = min(upToNow+3, len(log))
						p := engine.New(log[:upToNow], goesOn, engine.Options{Logger: readmodeltest.Quiet})
						_ = p.RunToEnd(t.Context())
						p.Close()
					}
				}
			})
			done, err := admin.RefoldAccounts(t.Context(), pool, ids, false, wrapped)
			close(stop)
			wg.Wait()
			if err != nil && !errors.Is(err, admin.ErrUnfoldable) {
				t.Fatal(err)
			}
			t.Logf("%d changed, %d left %v; up to %d of %d", len(done.Changed), len(done.Skipped), done.Skipped, upToNow, len(log))
			log.Project(t, goesOn, engine.Options{})
			_ = clean
			// The digests of what is stored.
			got, want := readmodeltest.Contents(t, pool), readmodeltest.Contents(t, clean)
			n := 0
			for _, id := range ids {
				if got[id] != want[id] {
					n++
					if n == 1 {
						t.Errorf("account %s differs:\n%.1500s", id, cmp.Diff(want[id], got[id]))
					}
				}
			}
			if n > 0 {
				t.Errorf("%d accounts differ", n)
			}
		})
	}
}

// TestRefoldsUnderAnyDefaultIsolation: refolds succeed whatever the database's default
// isolation, while the partition's checkpoint moves every few milliseconds, as under
// traffic.
func TestRefoldsUnderAnyDefaultIsolation(t *testing.T) {
	for _, level := range []string{"read committed", "repeatable read", "serializable"} {
		t.Run(level, func(t *testing.T) {
			pool, s := readmodeltest.Open(t)
			log := readmodeltest.NewBusyLog(8, 3000, workload.Config{Accounts: 4})
			log.Project(t, s, engine.Options{})
			as := readmodeltest.PoolWith(t, pool, func(cfg *pgxpool.Config) {
				cfg.ConnConfig.RuntimeParams["default_transaction_isolation"] = level
			})
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				for ctx.Err() == nil {
					_, _ = pool.Exec(ctx, `UPDATE export.checkpoints SET as_of = now() WHERE generation = 1`)
					time.Sleep(5 * time.Millisecond)
				}
			}()
			ids := slices.Collect(maps.Keys(log.CountConsumed(t)))
			ok, failed := 0, 0
			var last error
			for range testrun.AtLength(2, 4) {
				readmodeltest.Exec(t, pool, `UPDATE export_g1.account_export SET digest_low = digest_low # 5`)
				for _, id := range ids {
					done, err := admin.RefoldAccounts(t.Context(), as, []events.UUID{id}, false, log.ReadAccount)
					if err == nil && len(done.Skipped) == 0 {
						ok++
					} else {
						failed++
						last = err
					}
				}
			}
			cancel()
			<-ended
			t.Logf("%d refolded, %d not: %v", ok, failed, last)
			if failed > 0 {
				t.Errorf("%d of %d refolds failed", failed, ok+failed)
			}
		})
	}
}

// TestRefoldCompressesAlike: a refold stores pages as the projector compresses them.
func TestRefoldCompressesAlike(t *testing.T) {
	pool, s := readmodeltest.Open(t)
	log := readmodeltest.NewBusyLog(8, 6000, workload.Config{Accounts: 4, HostileShare: 0.05})
	log.Project(t, s, engine.Options{})
	show := func() string {
		var out string
		if err := pool.QueryRow(t.Context(), `SELECT coalesce(string_agg(c || ': ' || n, ', '), '') FROM (
SELECT coalesce(pg_column_compression(body), 'plain') c, count(*) n FROM export_g1.account_export_pages GROUP BY 1 ORDER BY 1) x`).Scan(&out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	before := show()
	want := readmodeltest.Contents(t, pool)
	readmodeltest.Exec(t, pool, `DELETE FROM export_g1.account_export_pages`)
	if _, err := admin.RefoldAccounts(t.Context(), pool, slices.Collect(maps.Keys(log.CountConsumed(t))), false, log.ReadAccount); err != nil {
		t.Fatal(err)
	}
	after := show()
	t.Log("pages before:", before, "after a refold:", after)
	if before != after {
		t.Error("a refold stores pages in another compression than the projector")
	}
	if fmt.Sprint(want) != fmt.Sprint(readmodeltest.Contents(t, pool)) {
		t.Error("contents differ")
	}
}

// TestRefoldNamesWhatItMayNot: where the role may not create temporary tables, a
// refold says what it needs, and changes nothing. `provision` grants it.
func TestRefoldNamesWhatItMayNot(t *testing.T) {
	pool, s := readmodeltest.Open(t)
	log := readmodeltest.NewBusyLog(8, 300, workload.Config{Accounts: 4})
	log.Project(t, s, engine.Options{})
	var some events.UUID
	for id := range log.CountConsumed(t) {
		some = id
	}
	var db string
	if err := pool.QueryRow(t.Context(), `SELECT current_database()`).Scan(&db); err != nil {
		t.Fatal(err)
	}
	role := "without_temp_" + fmt.Sprint(time.Now().UnixNano())
	for _, sql := range []string{
		`REVOKE TEMPORARY ON DATABASE "` + db + `" FROM PUBLIC`,
		`CREATE ROLE ` + role,
		`GRANT ALL ON SCHEMA export, export_g1 TO ` + role,
		`GRANT ALL ON ALL TABLES IN SCHEMA export, export_g1 TO ` + role,
		`UPDATE export_g1.account_export SET parked = parked + 7`,
	} {
		readmodeltest.Exec(t, pool, sql)
	}
	defer func() { _, _ = pool.Exec(context.Background(), `DROP OWNED BY `+role+`; DROP ROLE `+role) }()
	as := readmodeltest.PoolWith(t, pool, func(cfg *pgxpool.Config) {
		cfg.ConnConfig.RuntimeParams["role"] = role
	})
	done, err := admin.RefoldAccounts(t.Context(), as, []events.UUID{some}, false, log.ReadAccount)
	if denied := (*pgconn.PgError)(nil); !errors.As(err, &denied) || denied.Code != "42501" || !strings.Contains(err.Error(), "GRANT TEMPORARY ON DATABASE") {
		t.Errorf("%+v, %v", done, err)
	}
	readmodeltest.Exec(t, pool, `GRANT accountexport_projector TO `+role)
	if err := readmodel.Migrate(t.Context(), pool.Config().ConnString()); err != nil {
		t.Fatal(err)
	}
	if done, err = admin.RefoldAccounts(t.Context(), as, []events.UUID{some}, false, log.ReadAccount); err != nil || len(done.Changed) != 1 {
		t.Errorf("after provision: %+v, %v", done, err)
	}
}

// TestGivenUpDuringACutover: a generation that is about to go live is not given up.
func TestGivenUpDuringACutover(t *testing.T) {
	pool, s := readmodeltest.Open(t)
	log := readmodeltest.NewLog(3, 200, workload.Config{Accounts: 5})
	log.Project(t, s, engine.Options{})
	b := store.NewBuilder(pool, "builder", false, readmodeltest.Quiet)
	log.Project(t, b, engine.Options{})
	b.Close(t.Context())
	gave := make(chan error, 1)
	err := admin.Cutover(t.Context(), pool, 1, 2, true, func(ctx context.Context) error {
		go func() { gave <- admin.AbandonGeneration(context.Background(), pool, 2) }()
		for { // until the statement waits for the lock
			var n int
			if err := pool.QueryRow(ctx, `SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%export.generations%' AND datname = current_database()`).Scan(&n); err != nil {
				return err
			}
			if n > 0 {
				return nil
			}
			select {
			case e := <-gave:
				gave <- e
				return nil
			case <-time.After(10 * time.Millisecond):
			}
		}
	})
	t.Log("cut over:", err, "give up:", <-gave)
	all, _ := readmodel.Generations(t.Context(), pool)
	for _, g := range all {
		t.Log("generation", g.Number, g.State)
	}
	if g, err := readmodel.LiveGeneration(t.Context(), pool); err != nil {
		t.Errorf("nothing is live: %v", err)
	} else {
		t.Log("live", g.Number)
	}
}
