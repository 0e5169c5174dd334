package bench

import (
	"fmt"
	"testing"
	"time"

	"accountexport/events"
)

// vacuumForm is a way in which autovacuum is set.
type vacuumForm struct {
	name string
	sql  string // sets what is to be other than the server's own settings
}

// vacuumForms are those that are compared. In each of them autovacuum looks every second, and
// not every minute, so that a benchmark of a minute is like an hour.
var vacuumForms = []vacuumForm{
	{"autovacuum as it is shipped", ``},
	{"autovacuum at 2 % of dead rows", `ALTER TABLE export_g1.account_export SET (autovacuum_vacuum_scale_factor = 0.02, toast.autovacuum_vacuum_scale_factor = 0.02);
ALTER TABLE export_g1.account_export_pages SET (autovacuum_vacuum_scale_factor = 0.02, toast.autovacuum_vacuum_scale_factor = 0.02)`},
	{"no autovacuum", `ALTER TABLE export_g1.account_export SET (autovacuum_enabled = false, toast.autovacuum_enabled = false);
ALTER TABLE export_g1.account_export_pages SET (autovacuum_enabled = false, toast.autovacuum_enabled = false)`},
}

// updateMany publishes a million changes of accounts: of a name, of the status of a sandbox, and
// of the metadata of an old sandbox, which is in a page; a steady stream of them, so that
// they are not folded into one. It measures what is left in the tables of it.
func updateMany(b *testing.B, program string, form vacuumForm) {
	r := newReport(b, "Disk after many updates, "+form.name)
	s := newStackWith(b, stackOptions{settings: map[string]string{"autovacuum_naptime": "1s"}})
	if _, err := s.pool.Exec(b.Context(), `CREATE EXTENSION pgstattuple`); err != nil {
		b.Fatal(err)
	}
	const accounts, sandboxes = 500, 60
	ids := publishAccounts(b, s, accounts)
	publishEach(b, s, accounts*sandboxes, func(i int) (events.Message, error) {
		return events.NewSandboxCreated(newMeta(fmt.Sprint("old-", i)), ids[i%accounts], events.SandboxCreated{ID: fmt.Sprintf("old_%d", i/accounts),
			Template: "code-interpreter-v1", Metadata: []byte(`{"env":"production","region":"eu-central-1","owner":"someone"}`)})
	})
	p := startReplica(b, s, program, "AUDIT_RATE=0", "BATCH_EVENTS=100") // as many commits as a steady stream has
	p.awaitReady(b)
	s.waitProjected(b)
	if form.sql != "" {
		if _, err := s.pool.Exec(b.Context(), form.sql); err != nil {
			b.Fatal(err)
		}
	}
	before := map[string]tableSize{}
	for _, t := range s.tables(b) {
		before[t.name] = t
	}
	updates := size(1_000_000, 50_000)
	m := s.measure(b, func() (time.Duration, int64) {
		publishEach(b, s, updates, func(i int) (events.Message, error) {
			id, meta := ids[i*7919%accounts], newMeta(fmt.Sprint("update-", i))
			switch i % 3 {
			case 0:
				return change(id, i)
			case 1:
				return events.NewSandboxStatusChanged(meta, id, events.SandboxStatusChanged{ID: fmt.Sprintf("old_%d", sandboxes-1-i%5), Status: fmt.Sprint("s", i%7)})
			}
			return events.NewSandboxMetadataUpdated(meta, id, events.SandboxMetadataUpdated{ID: fmt.Sprintf("old_%d", i%20),
				Metadata: []byte(fmt.Sprintf(`{"env":"production","region":"eu-central-1","owner":"someone","run":"%d"}`, i))})
		})
		s.waitProjected(b)
		return 0, 0
	})
	time.Sleep(3 * time.Second) // autovacuum comes once more, and the statistics are told
	r.add("updates", "thousand", float64(updates)/1000)
	r.add("WAL", "bytes/update", float64(m.wal)/float64(updates))
	r.add("CPU of PostgreSQL", "µs/update", m.cpu.postgres.Seconds()*1e6/float64(updates))
	for _, t := range s.tables(b) {
		was := before[t.name]
		if t.main+t.toast == 0 || was.main == 0 || t.name == "account_waiting" || t.name == "parked" || t.name == "quota_tiers" {
			continue
		}
		r.add(t.name+": table, of what it was", "×", (t.main+t.toast)/(was.main+was.toast))
		r.add(t.name+": indexes, of what they were", "×", t.indexes/was.indexes)
		var rows, hot, dead, vacuums, deadShare float64
		if err := s.pool.QueryRow(b.Context(), `
SELECT n_tup_upd::float8, n_tup_hot_upd::float8, n_dead_tup::float8, autovacuum_count::float8,
    (SELECT dead_tuple_percent FROM pgstattuple(relid))
FROM pg_stat_user_tables WHERE schemaname = 'export_g1' AND relname = $1`, t.name).Scan(&rows, &hot, &dead, &vacuums, &deadShare); err != nil {
			b.Fatal(err)
		}
		r.add(t.name+": rows updated", "", rows)
		if rows > 0 {
			r.add(t.name+": updated in place (HOT)", "%", 100*hot/rows)
		}
		r.add(t.name+": dead rows, of its bytes", "%", deadShare)
		r.add(t.name+": vacuums", "", vacuums)
	}
	p.stop(b)
}
