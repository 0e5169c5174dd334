package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"accountexport/internal/workload"
)

// TestCheckpointsAreWrittenOnceABatch lets the database record every write of a checkpoint: no
// transaction writes one twice, and those of idle partitions advance about once a second.
func TestCheckpointsAreWrittenOnceABatch(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	if _, err := s.pool.Exec(t.Context(), `
CREATE TABLE public.writes (transaction xid8 DEFAULT pg_current_xact_id(), partition integer, position bigint, as_of timestamptz);
CREATE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.writes (partition, position, as_of) VALUES (NEW.partition, NEW.position, NEW.as_of);
    RETURN NULL;
END $$;
CREATE TRIGGER note AFTER UPDATE OF position ON export.checkpoints FOR EACH ROW EXECUTE FUNCTION public.note();
GRANT INSERT ON public.writes TO PUBLIC`); err != nil {
		t.Fatal(err)
	}
	s.settings["LANES"] = "3"
	s.startProjector(t)
	const n = 5000
	if err := s.publish(t.Context(), workload.New(61, workload.Config{Accounts: 50, HostileShare: 0.1}), n, 2*time.Second); err != nil {
		t.Fatal(err)
	}
	s.waitProjected(t)

	var batches, twice int
	err := s.pool.QueryRow(t.Context(), `
SELECT count(DISTINCT transaction), (SELECT count(*) FROM (SELECT FROM public.writes GROUP BY transaction, partition HAVING count(*) > 1) t)
FROM public.writes`).Scan(&batches, &twice)
	if err != nil || batches == 0 || twice > 0 {
		t.Errorf("%d transactions, in %d of them a checkpoint was written twice (%v)", batches, twice, err)
	}
	eventually(t, "six idle writes of each checkpoint", time.Minute, func(ctx context.Context) error {
		var fewest int
		var apart float64 // average in seconds, by the stream's clock
		err := s.pool.QueryRow(ctx, `
SELECT coalesce(min(n), 0), coalesce(min(extract(epoch FROM last - first) / nullif(n - 1, 0)), 0)::float8
FROM (SELECT count(*) AS n, min(as_of) AS first, max(as_of) AS last FROM public.writes WHERE position = $1 GROUP BY partition) t`, n).
			Scan(&fewest, &apart)
		switch {
		case err != nil:
			return err
		case fewest < 6:
			return fmt.Errorf("%d", fewest)
		case apart < 0.8:
			t.Errorf("idle checkpoints are written every %.2f s", apart)
		}
		return nil
	})
	s.checkAgainstOracle(t)
}
