package gauges

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"accountexport/readmodel"
	"accountexport/readmodel/internal/pg"
)

// figures are what one statement finds.
type figures struct {
	problems   []problems
	unowned    int64
	unfinished int64
	abandoned  *bool // nil: a standby does not know
}

// problems are how many there are on record of a class and reason.
type problems struct {
	class, reason string
	n             int64
}

// statement reads everything at once, so that it is as of one moment.
//
// A problem of a partition is of the live generation, or it is over. An owner that was
// not seen for a minute is not alive, whether or not another replica has taken
// notice; replicas are seen twice a second, and every half minute with the greatest
// TAKEOVER_AFTER. A standby goes by the time up to which it has come. A rebuild holds a lock for as long as it
// works, which a standby cannot see.
const statement = `
SELECT
    (SELECT array_agg(p.class || ' ' || p.reason || ' ' || p.n) FROM (
        SELECT class, reason, count(*) AS n FROM export.problems
        WHERE partition = -1 OR generation IN (SELECT generation FROM export.generations WHERE state = 'live')
        GROUP BY class, reason) p),
    (SELECT count(*) FROM export.checkpoints c JOIN export.generations g USING (generation),
            (SELECT CASE WHEN pg_is_in_recovery() THEN coalesce(pg_last_xact_replay_timestamp(), clock_timestamp()) ELSE clock_timestamp() END AS at) now
        WHERE g.state = 'live' AND NOT EXISTS (
            SELECT FROM export.members m WHERE m.member = c.owner AND m.seen_at > now.at - interval '1 minute')),
    (SELECT count(*) FROM export.erasures_owed WHERE NOT anew),
    CASE WHEN NOT pg_is_in_recovery() THEN EXISTS (
        SELECT FROM export.generations WHERE state = 'building' AND finished_at IS NULL) AND NOT EXISTS (
        SELECT FROM pg_locks, (SELECT hashtext('accountexport rebuild')::bigint AS key) k
        WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND classid::bigint = (k.key >> 32) & 4294967295 AND objid::bigint = k.key & 4294967295) END`

// none has a zero for each problem that there may be, so that none on record can be told
// from a database that cannot be read.
func none() (all []problems) {
	for _, class := range []readmodel.ProblemClass{readmodel.Refused, readmodel.Failed} {
		for _, reason := range class.Reasons() {
			all = append(all, problems{class: string(class), reason: reason})
		}
	}
	return all
}

// add adds problems to those of their class and reason, which a newer program may have.
func (f *figures) add(p problems) {
	for i := range f.problems {
		if f.problems[i].class == p.class && f.problems[i].reason == p.reason {
			f.problems[i].n += p.n
			return
		}
	}
	f.problems = append(f.problems, p)
}

// count is how many problems there are.
func (f *figures) count() (n int64) {
	for _, p := range f.problems {
		n += p.n
	}
	return n
}

// read sends the statement.
func read(ctx context.Context, db pg.Querier) (f figures, err error) {
	rows, err := db.Query(ctx, statement)
	if err == nil {
		f, err = pgx.CollectExactlyOneRow(rows, func(r pgx.CollectableRow) (f figures, err error) {
			f.problems = none()
			var found []string
			if err := r.Scan(&found, &f.unowned, &f.unfinished, &f.abandoned); err != nil {
				return f, err
			}
			for _, text := range found {
				var p problems
				if _, err := fmt.Sscan(text, &p.class, &p.reason, &p.n); err != nil {
					return f, fmt.Errorf("%q: %w", text, err)
				}
				f.add(p)
			}
			return f, nil
		})
	}
	if err != nil {
		return f, fmt.Errorf("read how projecting is doing: %w", readmodel.ExplainOutdatedSchema(err))
	}
	return f, nil
}
