package relay

import (
	"context"
	"fmt"
	"testing"
	"time"

	"accountexport/internal/local/postgres"
)

// TestPostgreSQLCrashesSoonAfterTheFirstRelayBegan: what was committed without waiting
// for the disk is lost, with it that anything was published, and the next relay finds
// in the stream what the first one has published.
func TestPostgreSQLCrashesSoonAfterTheFirstRelayBegan(t *testing.T) {
	pg, err := postgres.Start(t.Context(), postgres.Options{Settings: map[string]string{"wal_writer_delay": "10s"}}) // so that it is not on disk
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pg.Stop(context.Background()) })
	a := arenaOn(t, pg.URL())
	for i := range 20 {
		a.write(t, increment(t, fmt.Sprint(i), account(i%5)))
	}
	r := a.relay(t, Options{})
	a.drained(t, 0)
	if err := pg.StopImmediate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.end(t); err != nil {
		t.Fatal(err)
	}
	time.Sleep(110 * time.Millisecond) // the window for duplicates passes
	if err := pg.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.relay(t, Options{})
	a.drained(t, 0)
	n := 0
	for _, ids := range a.stored(t) {
		n += len(ids)
	}
	if n != 20 {
		t.Errorf("%d messages, want 20", n)
	}
}
