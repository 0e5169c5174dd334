package export_test

import (
	"context"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/readmodel/export"
	"accountexport/readmodel/internal/readmodeltest"
)

// TestConnectionLostBeforeTheFirstRow: the connection is lost while a statement for a
// document with pages is in progress, before its first row. The read is attempted
// again.
func TestConnectionLostBeforeTheFirstRow(t *testing.T) {
	pool, s := readmodeltest.Open(t)
	a := readmodeltest.LargeAccount(t, pool, s, 30) // 120 kB
	reading := readmodeltest.PoolWith(t, pool, func(cfg *pgxpool.Config) {
		cfg.ConnConfig.RuntimeParams["application_name"] = "lost"
	})
	x := export.NewReader(reading)
	get := func() (err error) {
		defer func() {
			if thrown := recover(); thrown != nil {
				err = fmt.Errorf("panic: %v", thrown)
			}
		}()
		d, err := x.Open(t.Context(), a.ID)
		if err != nil {
			return err
		}
		defer d.Close()
		_, err = d.WriteTo(io.Discard)
		return err
	}
	for range 2 { // its size is known then
		if err := get(); err != nil {
			t.Fatal(err)
		}
	}
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	if _, err := tx.Exec(t.Context(), `LOCK TABLE export_g1.account_export IN ACCESS EXCLUSIVE MODE`); err != nil {
		t.Fatal(err)
	}
	answered := make(chan error, 1)
	go func() { answered <- get() }()
	for deadline := time.Now().Add(3 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		var n int
		if err := pool.QueryRow(t.Context(), `
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'lost' AND wait_event_type = 'Lock' AND datname = current_database()`).
			Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n > 0 || time.Now().After(deadline) {
			break
		}
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-answered; err != nil {
		t.Error(err)
	}
}
