package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"accountexport/internal/local/testrun"
	"accountexport/readmodel/admin"
)

// patience is a limit, four times as long in the long form, where more of everything runs side by
// side.
func patience(limit time.Duration) time.Duration {
	if testrun.Long() {
		limit *= 4
	}
	return limit
}

// eventually waits until a condition returns no error, and ends the test when that takes longer
// than the limit with [patience].
func eventually(t testing.TB, what string, limit time.Duration, holds func(ctx context.Context) error) {
	t.Helper()
	limit = patience(limit)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	var last error // the end of ctx itself says nothing of why
	for {
		err := holds(ctx)
		if err == nil {
			return
		}
		if ctx.Err() == nil || last == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not within %s: %v", what, limit, last)
		case <-ticker.C:
		}
	}
}

// pollUntil waits until a condition returns no error, or ctx ends.
func pollUntil(ctx context.Context, holds func(context.Context) error) error {
	for {
		err := holds(ctx)
		if err == nil {
			return nil
		}
		if sleep(ctx, 50*time.Millisecond) != nil {
			return err
		}
	}
}

// sleep waits for a duration, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// every calls a function repeatedly, with pauses, until ctx ends.
func every(ctx context.Context, interval time.Duration, do func()) {
	for ctx.Err() == nil {
		do()
		if sleep(ctx, interval) != nil {
			return
		}
	}
}

// hasPrinted returns a condition for [eventually]: a program has printed a text.
func hasPrinted(p *process, what string) func(context.Context) error {
	return func(context.Context) error {
		if out := p.out.tail(1 << 20); !strings.Contains(out, what) {
			return fmt.Errorf("it does not say %q, but %s", what, out[max(0, len(out)-400):])
		}
		return nil
	}
}

// caughtUp returns an error while the live generation lacks messages of the stream.
func (s *system) caughtUp(ctx context.Context) error {
	info, err := s.client.Info(ctx)
	if err != nil {
		return err
	}
	return s.reached(ctx, info.Last)
}

// reached returns an error while a partition of the live generation is before a position.
func (s *system) reached(ctx context.Context, position uint64) error {
	st, err := admin.ReadStatus(ctx, s.pool)
	if err != nil {
		return err
	}
	for _, p := range st.Partitions {
		if p.Position < position {
			return fmt.Errorf("partition %d is at %d of %d", p.Partition, p.Position, position)
		}
	}
	return nil
}

// waitProjected waits until the live generation has all that the stream holds.
func (s *system) waitProjected(t testing.TB) {
	t.Helper()
	eventually(t, "everything projected", time.Minute, s.caughtUp)
}

// holdCommits makes every commit of programs with this application name wait, before it has locked
// anything, until release is called: what they have read and folded stays in their memory. waiting
// waits until n commits are held.
func (s *system) holdCommits(t *testing.T, application string) (waiting func(n int), release func()) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	if _, err := conn.Exec(t.Context(), fmt.Sprintf(`
SELECT pg_advisory_lock(4711);
CREATE FUNCTION export.held() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('application_name') LIKE '%s' THEN
        PERFORM pg_advisory_lock_shared(4711);
        PERFORM pg_advisory_unlock_shared(4711);
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER held BEFORE UPDATE OF position ON export.checkpoints FOR EACH STATEMENT EXECUTE FUNCTION export.held()`,
		application)); err != nil {
		t.Fatal(err)
	}
	waiting = func(n int) {
		t.Helper()
		eventually(t, fmt.Sprintf("%d commits to be held", n), time.Minute, func(ctx context.Context) error {
			var held int
			err := s.pool.QueryRow(ctx, `
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND wait_event = 'advisory'
    AND application_name LIKE $1`, application).Scan(&held)
			if err == nil && held < n {
				err = fmt.Errorf("%d are", held)
			}
			return err
		})
	}
	return waiting, func() {
		t.Helper()
		if _, err := conn.Exec(t.Context(), `SELECT pg_advisory_unlock(4711)`); err != nil {
			t.Fatal(err)
		}
	}
}
