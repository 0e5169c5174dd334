package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// hold has every commit of the programs that name themselves like this wait, once
// it is complete and before it has locked anything, until release: what they have
// read and folded by then stays in their memory. waiting waits until so many
// commits do.
func (s *system) hold(t *testing.T, application string) (waiting func(n int), release func()) {
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
