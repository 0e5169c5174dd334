package export_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"accountexport/readmodel/export"
	"accountexport/readmodel/internal/readmodeltest"
)

// TestReadingIsNotWorthCompiling: the planner takes no statement that reads a document
// to cost nearly as much as what it compiles, and none scans a table of accounts,
// whether the planner knows much of the tables or nothing.
func TestReadingIsNotWorthCompiling(t *testing.T) {
	const compiled = 100_000 // jit_above_cost
	pool, s := readmodeltest.Open(t)
	readmodeltest.LargeAccount(t, pool, s, 30_000)
	conn, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	for _, prepare := range []string{`SET plan_cache_mode = force_generic_plan`, `ANALYZE`} {
		if _, err := conn.Exec(t.Context(), prepare); err != nil {
			t.Fatal(err)
		}
		for name, statement := range export.Statements(1) {
			if _, err := conn.Exec(t.Context(), `PREPARE `+name+` AS `+statement.SQL); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			rows, err := conn.Query(t.Context(), `EXPLAIN EXECUTE `+name+statement.Args)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			plan := strings.Join(lines, "\n")
			var begin, cost float64
			_, costs, _ := strings.Cut(plan, "(cost=")
			if _, err := fmt.Sscanf(costs, "%f..%f ", &begin, &cost); err != nil || cost > compiled/4 || strings.Contains(plan, "JIT") {
				t.Errorf("after %s, %s: it is taken to cost %.0f, %v:\n%s", prepare, name, cost, err, plan)
			}
			if strings.Contains(plan, "Seq Scan on account_export_pages") || prepare != `ANALYZE` && strings.Contains(plan, "Seq Scan on account_export") {
				t.Errorf("after %s, %s goes through all accounts:\n%s", prepare, name, plan)
			}
			if _, err := conn.Exec(t.Context(), `DEALLOCATE `+name); err != nil {
				t.Fatal(err)
			}
		}
	}
}
