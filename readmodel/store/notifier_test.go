package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/internal/local/postgres"
	"accountexport/internal/workload"
	"accountexport/projections/engine"
	"accountexport/readmodel"
	"accountexport/readmodel/admin"
	"accountexport/readmodel/internal/readmodeltest"
	"accountexport/readmodel/store"
)

// heard listens for checkpoints, and returns the notifications as they come.
func heard(t *testing.T, url string) <-chan struct{} {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), `LISTEN export_checkpoints`); err != nil {
		t.Fatal(err)
	}
	out, ended := make(chan struct{}, 1000), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			if _, err := conn.WaitForNotification(t.Context()); err != nil {
				return
			}
			out <- struct{}{}
		}
	}()
	t.Cleanup(func() {
		<-ended
		_ = conn.Close(context.Background())
	})
	return out
}

// TestCommitsDoNotWaitForNotices: another client's commit with a NOTIFY in it, on the
// same server, makes every other such commit wait for as long as it waits for a
// standby. The projector's commits have none in them and do not wait, nor does handing
// over at its end. Those who wait for a position are notified again once it is over.
func TestCommitsDoNotWaitForNotices(t *testing.T) {
	ctx := t.Context()
	server, err := postgres.Start(ctx, postgres.Options{})
	postgres.Check(t, err)
	defer func() { _ = server.Stop(context.Background()) }()
	if err := readmodel.Migrate(ctx, server.URL()); err != nil {
		t.Fatal(err)
	}
	cfg, err := pgxpool.ParseConfig(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	cfg.ConnConfig.RuntimeParams["synchronous_commit"] = "local" // its commits wait for no standby
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	log := readmodeltest.NewLog(3, 400, workload.Config{Accounts: 5})
	s := store.NewStore(pool, "one", readmodeltest.Quiet)
	log[:100].Project(t, s, engine.Options{})
	notices := heard(t, server.URL())

	for _, sql := range []string{`ALTER SYSTEM SET synchronous_standby_names = 'nobody'`, `SELECT pg_reload_conf()`} {
		readmodeltest.Exec(t, pool, sql)
	}
	elsewhere, err := pgx.Connect(ctx, server.URL())
	if err != nil {
		t.Fatal(err)
	}
	waits := make(chan error, 1)
	notifying, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		for { // until the setting is in force
			if _, err := elsewhere.Exec(notifying, `NOTIFY somebody_elses`); err != nil {
				waits <- err
				return
			}
		}
	}()
	var pid uint32
	for pid == 0 {
		err := pool.QueryRow(ctx, `SELECT coalesce(max(pid), 0) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query LIKE 'NOTIFY%'`).Scan(&pid)
		if err != nil {
			t.Fatal(err)
		}
	}
	for len(notices) > 0 {
		<-notices
	}
	limit, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	p := engine.New(log[:300], s, engine.Options{Logger: readmodeltest.Quiet})
	defer p.Close()
	if err := p.RunToEnd(limit); err != nil {
		t.Errorf("commits wait for somebody else's notice: %v", err)
	}
	last, end := context.WithTimeout(ctx, 5*time.Second)
	defer end()
	s.Close(last) // hands over, although it cannot notify
	var owned int
	if err := pool.QueryRow(ctx, `SELECT count(*) FROM export.checkpoints WHERE owner IS NOT NULL`).Scan(&owned); err != nil || owned > 0 {
		t.Errorf("%d partitions were not handed over, %v", owned, err)
	}
	var held int
	if err := pool.QueryRow(ctx, `SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'SyncRep'`, int32(pid)).Scan(&held); err != nil || held != 1 {
		t.Errorf("%d, %v: the other commit does not wait any more, and this test showed nothing", held, err)
	}
	for _, sql := range []string{`ALTER SYSTEM RESET synchronous_standby_names`, `SELECT pg_reload_conf()`} {
		readmodeltest.Exec(t, pool, sql)
	}
	if _, err := pool.Exec(ctx, `SELECT pg_cancel_backend($1)`, int32(pid)); err != nil {
		t.Fatal(err)
	}
	log.Project(t, store.NewStore(pool, "two", readmodeltest.Quiet), engine.Options{})
	select {
	case <-notices:
	case <-time.After(20 * time.Second):
		t.Error("nobody was told that checkpoints have moved")
	}
	stop()
	<-waits
	_ = elsewhere.Close(context.Background())
}

// TestWhoNotifies: a batch of the live generation is notified of once it can be seen,
// and so is a cut-over. A batch of another generation is not, and an older program's
// commit has its own NOTIFY in it.
func TestWhoNotifies(t *testing.T) {
	pool, s := readmodeltest.Open(t)
	log := readmodeltest.NewLog(4, 300, workload.Config{Accounts: 5})
	notices := heard(t, pool.Config().ConnString())
	told := func(what string) {
		t.Helper()
		select {
		case <-notices:
		case <-time.After(20 * time.Second):
			t.Errorf("%s: nobody was told", what)
		}
	}
	log[:100].Project(t, s, engine.Options{})
	told("live")
	s.Close(t.Context()) // everything that was due has been sent then
	for len(notices) > 0 {
		<-notices
	}
	b := store.NewBuilder(pool, "builder", false, readmodeltest.Quiet)
	log.Project(t, b, engine.Options{})
	b.Close(t.Context())
	// Notifications arrive in the order in which they were sent.
	if _, err := pool.Exec(t.Context(), `SELECT export.advance(1, ARRAY[0], ARRAY[c.position], ARRAY[c.position], ARRAY[c.epoch], ARRAY[now()],
    '{0}', '{0}', '{0}', '{0}', '{0}', '{NULL}', '{NULL}', '{NULL}', 2) FROM export.checkpoints c WHERE generation = 1 AND partition = 0`); err != nil {
		t.Fatal(err)
	}
	told("an older program")
	if n := len(notices); n > 0 {
		t.Errorf("%d notices of a generation that is being built", n)
	}
	if err := admin.Cutover(t.Context(), pool, 1, 2, true, func(context.Context) error { return nil }); err != nil {
		t.Fatal(err)
	}
	told("a cut-over")
}
