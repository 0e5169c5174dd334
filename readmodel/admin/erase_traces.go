package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/readmodel"
	"accountexport/readmodel/internal/pg"
	"accountexport/readmodel/internal/rows"
)

// Traces is what the tables hold of an account.
type Traces struct {
	// in all generations, but for tombstones; parked messages and notes that mention the
	// account are counted, and so are lines of the audit that name it
	Rows    int64
	Audited int64 // of Rows, the lines of the audit, but for those of the erasure
	Erased  bool  // there is a tombstone
	Emails  []string
}

// FindTraces says what the tables hold of an account. mention may be nil: then parked
// messages of no account, and notes, are not searched.
func FindTraces(ctx context.Context, pool *pgxpool.Pool, account events.UUID, mention func(parts ...[]byte) bool) (t Traces, err error) {
	all, err := readmodel.SelectGenerations(ctx, pool, "")
	if err != nil {
		return t, err
	}
	for _, g := range all {
		before := t.Rows
		err := t.addGeneration(ctx, pool, g, account, mention)
		if err != nil && pg.IsUndefinedTable(err) {
			if _, findErr := readmodel.FindGeneration(ctx, pool, g.Number); errors.Is(findErr, readmodel.ErrNotFound) {
				t.Rows = before // it was dropped meanwhile, with all its rows
				continue
			}
		}
		if err != nil {
			return t, fmt.Errorf("look into generation %d: %w", g.Number, err)
		}
	}
	for _, table := range rows.DismissalTables {
		var n int64
		if err := pool.QueryRow(ctx, `SELECT count(*) FROM export.`+table+` WHERE account_id = $1`, [16]byte(account)).Scan(&n); err != nil {
			return t, fmt.Errorf("look into dismissals: %w", err)
		}
		t.Rows += n
	}
	if t.Audited, err = countAudited(ctx, pool, account); err != nil {
		return t, err
	}
	t.Rows += t.Audited
	if mention == nil {
		return t, nil
	}
	noted, err := notesMentioning(ctx, pool, mention)
	if err != nil {
		return t, fmt.Errorf("look into dismissals: %w", err)
	}
	t.Rows += int64(len(noted))
	return t, nil
}

func (t *Traces) addGeneration(ctx context.Context, pool *pgxpool.Pool, g readmodel.Generation, account events.UUID, mention func(parts ...[]byte) bool) error {
	for _, table := range rows.TablesOf(g) {
		condition := ""
		if table == "account_export" {
			condition = ` AND ` + noTombstone
		}
		var n int64
		err := pool.QueryRow(ctx, readmodel.InSchema(g.Number, `SELECT count(*) FROM {schema}.`+table+` WHERE account_id = $1`+condition), [16]byte(account)).Scan(&n)
		if err != nil {
			return err
		}
		t.Rows += n
	}
	var user []byte
	var erased bool
	err := pool.QueryRow(ctx, readmodel.InSchema(g.Number, `SELECT user_json, erased_at IS NOT NULL FROM {schema}.account_export WHERE account_id = $1`),
		[16]byte(account)).Scan(&user, &erased)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	t.Erased = t.Erased || erased
	var waiting []byte
	err = pool.QueryRow(ctx, readmodel.InSchema(g.Number, `SELECT patch FROM {schema}.account_waiting WHERE account_id = $1 AND entity = 1`),
		[16]byte(account)).Scan(&waiting)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	// The keys are those of a document's user, and of the patches that package projections
	// stores (projections/patch.go). JSON that cannot be parsed has no e-mail address that
	// could be searched for: that is no error, and the search goes on by the others.
	var stored struct{ Email string }
	var patch struct{ Email events.Optional[string] }
	if json.Unmarshal(user, &stored) == nil && stored.Email != "" {
		t.Emails = append(t.Emails, stored.Email)
	}
	if json.Unmarshal(waiting, &patch) == nil && patch.Email.Value != "" {
		t.Emails = append(t.Emails, patch.Email.Value)
	}
	if mention == nil {
		return nil
	}
	positions, err := mistypedParked(ctx, pool, g.Number, account, mention)
	t.Rows += int64(len(positions))
	return err
}

// AccountsWithTraces tells of which accounts any generation stores anything but a
// tombstone, and which are named by dismissals or by lines of the audit.
func AccountsWithTraces(ctx context.Context, pool *pgxpool.Pool, accounts []events.UUID) (map[events.UUID]bool, error) {
	traced := map[events.UUID]bool{}
	all, err := readmodel.SelectGenerations(ctx, pool, "")
	if err != nil {
		return nil, err
	}
	ask := func(sql string) error {
		rows, err := pool.Query(ctx, sql, uuids(accounts))
		if err != nil {
			return err
		}
		var id [16]byte
		_, err = pgx.ForEachRow(rows, []any{&id}, func() error {
			traced[id] = true
			return nil
		})
		return err
	}
	for _, g := range all {
		for _, table := range rows.TablesOf(g) {
			condition := ""
			if table == "account_export" {
				condition = ` AND ` + noTombstone
			}
			if err := ask(readmodel.InSchema(g.Number, `SELECT DISTINCT account_id FROM {schema}.`+table+` WHERE account_id = ANY($1)`+condition)); err != nil {
				return nil, fmt.Errorf("look into generation %d: %w", g.Number, err)
			}
		}
		// Parked messages of no account may mention them.
		if err := ask(readmodel.InSchema(g.Number, `
SELECT DISTINCT u.id FROM {schema}.parked p
CROSS JOIN LATERAL regexp_matches(lower(p.subject || ' ' || encode(p.payload, 'escape')), '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}', 'g') AS m (found)
JOIN unnest($1::uuid[]) AS u (id) ON u.id = m.found[1]::uuid
WHERE p.account_id IS NULL`)); err != nil {
			return nil, fmt.Errorf("look into generation %d: %w", g.Number, err)
		}
	}
	return traced, ask(`
SELECT account_id FROM export.dismissals WHERE account_id = ANY($1) UNION SELECT account_id FROM export.undismissals WHERE account_id = ANY($1)
UNION SELECT account FROM export.audit WHERE account = ANY($1) AND ` + rows.NamesErased)
}

// mistypedParked are the positions of a generation's parked messages that mention the
// account, and whose subject names neither an account nor a tier, or names the account
// where a tier belongs.
func mistypedParked(ctx context.Context, db pg.Querier, generation int64, account events.UUID, mention func(parts ...[]byte) bool) (positions []int64, err error) {
	rows, err := db.Query(ctx, readmodel.InSchema(generation, `
SELECT position, subject, reason, headers, payload FROM {schema}.parked WHERE account_id IS NULL`))
	if err != nil {
		return nil, err
	}
	var position int64
	var subject, reason string
	var headers, payload []byte
	_, err = pgx.ForEachRow(rows, []any{&position, &subject, &reason, &headers, &payload}, func() error {
		to := events.ParseSubject(subject)
		if (to.Kind == events.SubjectUnsound || to.Tier == account.String()) && mention([]byte(subject), []byte(reason), headers, payload) {
			positions = append(positions, position)
		}
		return nil
	})
	return positions, err
}

// notesMentioning are the notes of dismissals, taken back or not, that mention the
// account.
func notesMentioning(ctx context.Context, db pg.Querier, mention func(parts ...[]byte) bool) (out []string, err error) {
	rows, err := db.Query(ctx, `
SELECT note FROM export.dismissals UNION SELECT note FROM export.undismissals UNION SELECT dismissal_note FROM export.undismissals`)
	if err != nil {
		return nil, err
	}
	var note string
	_, err = pgx.ForEachRow(rows, []any{&note}, func() error {
		if mention([]byte(note)) {
			out = append(out, note)
		}
		return nil
	})
	return out, err
}
