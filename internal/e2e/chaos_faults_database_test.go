package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// traps make PostgreSQL raise the errors in chaos.armed: when a batch begins, when it writes
// accounts, and in its commit.
const traps = `
CREATE SCHEMA chaos;
CREATE TABLE chaos.armed (place text, code text, share float8);
CREATE FUNCTION chaos.trap() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    a record;
BEGIN
    FOR a IN SELECT * FROM chaos.armed WHERE place = TG_ARGV[0] LOOP
        IF a.code = 'sleep' THEN
            PERFORM pg_sleep(a.share);
        ELSIF random() < a.share THEN
            RAISE EXCEPTION 'a trap of the test' USING ERRCODE = a.code;
        END IF;
    END LOOP;
    RETURN NULL;
END $$;
CREATE TRIGGER chaos_checkpoints BEFORE UPDATE ON export.checkpoints FOR EACH STATEMENT EXECUTE FUNCTION chaos.trap('checkpoints');
CREATE TRIGGER chaos_accounts BEFORE INSERT OR UPDATE ON export_g1.account_export FOR EACH STATEMENT EXECUTE FUNCTION chaos.trap('accounts');
CREATE CONSTRAINT TRIGGER chaos_commit AFTER UPDATE ON export.checkpoints DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION chaos.trap('commit');`

func (a *chaosSystem) installTraps(t *testing.T) {
	t.Helper()
	if _, err := a.pool.Exec(t.Context(), traps); err != nil {
		t.Fatal(err)
	}
}

// trap makes a share of the statements at these places fail for a while.
func (a *chaosSystem) trap(ctx context.Context, lasting time.Duration, code string, share float64, places ...string) error {
	for _, place := range places {
		if err := a.sql(ctx, `INSERT INTO chaos.armed VALUES ($1, $2, $3)`, place, code, share); err != nil {
			return err
		}
	}
	if err := sleep(ctx, lasting); err != nil {
		return err
	}
	return a.sql(ctx, `DELETE FROM chaos.armed WHERE code = $1`, code)
}

// serializationFailures makes batches fail at a random place as PostgreSQL fails conflicting
// transactions.
func (a *chaosSystem) serializationFailures(ctx context.Context, rng *rand.Rand) (string, error) {
	code := []string{"40001", "40P01"}[rng.IntN(2)]
	place := []string{"checkpoints", "accounts", "commit"}[rng.IntN(3)]
	lasting, share := a.faultDuration(rng), 0.2+0.8*rng.Float64()
	return fmt.Sprintf("%s at %s, %.0f %% for %v", code, place, 100*share, lasting), a.trap(ctx, lasting, code, share, place)
}

// diskFull makes every write fail.
func (a *chaosSystem) diskFull(ctx context.Context, rng *rand.Rand) (string, error) {
	lasting := a.faultDuration(rng)
	return fmt.Sprintf("for %v", lasting), a.trap(ctx, lasting, "53100", 1, "accounts", "commit")
}

// stopDatabase stops PostgreSQL as a crash would, and starts it again.
func (a *chaosSystem) stopDatabase(ctx context.Context, rng *rand.Rand) (string, error) {
	away := a.faultDuration(rng)
	if err := a.pg.StopImmediate(ctx); err != nil {
		return "", err
	}
	if err := sleep(ctx, away); err != nil {
		return "", err
	}
	return fmt.Sprintf("away %v", away), a.pg.Restart(ctx)
}

// cutSessions ends the projectors' sessions one by one, every other one just
// after a commit.
func (a *chaosSystem) cutSessions(ctx context.Context, rng *rand.Rand) (string, error) {
	end, n := time.Now().Add(a.faultDuration(rng)), 0
	for ; time.Now().Before(end); n++ {
		if n%2 == 0 {
			if err := a.atCommit(ctx, rng); err != nil {
				return "", err
			}
		}
		if err := a.sql(ctx, `
SELECT pg_terminate_backend(pid) FROM (
    SELECT pid FROM pg_stat_activity WHERE usename = 'projector' ORDER BY random() LIMIT 1) x`); err != nil {
			return "", err
		}
		if err := sleep(ctx, randomBelow(rng, 150*time.Millisecond)); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%d sessions", n), nil
}

// atCommit waits for a moment around a commit, if one comes soon.
func (a *chaosSystem) atCommit(ctx context.Context, rng *rand.Rand) error {
	soon, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_ = a.watch.committed(soon)
	return sleep(ctx, randomBelow(rng, 5*time.Millisecond))
}

// shortStatements sets a statement_timeout of a few milliseconds.
func (a *chaosSystem) shortStatements(ctx context.Context, rng *rand.Rand) (string, error) {
	limit := 1 + rng.IntN(8)
	return a.withSetting(ctx, rng, "ROLE projector", "statement_timeout", fmt.Sprint(limit))
}

// readOnly makes every transaction read-only for a while.
func (a *chaosSystem) readOnly(ctx context.Context, rng *rand.Rand) (string, error) {
	return a.withSetting(ctx, rng, "DATABASE postgres", "default_transaction_read_only", "on")
}

// withSetting gives a setting another value for a while. Sessions read it when they begin, so all
// sessions are ended before and after.
func (a *chaosSystem) withSetting(ctx context.Context, rng *rand.Rand, of, setting, value string) (string, error) {
	const end = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename IN ('projector', 'api')`
	lasting := a.faultDuration(rng)
	for _, statement := range []string{"ALTER " + of + " SET " + setting + " = " + value, end} {
		if err := a.sql(ctx, statement); err != nil {
			return "", err
		}
	}
	if err := sleep(ctx, lasting); err != nil {
		return "", err
	}
	for _, statement := range []string{"ALTER " + of + " RESET " + setting, end} {
		if err := a.sql(ctx, statement); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%s = %s for %v", setting, value, lasting), nil
}
