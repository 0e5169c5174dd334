package export_test

import (
	"fmt"
	"sync"
	"testing"

	"accountexport/events"
	"accountexport/readmodel/export"
	"accountexport/readmodel/internal/readmodeltest"
)

// TestDocumentsThatHaveChangedSinceTheLastRead: what is remembered of documents from
// the last read has come to be wrong in every way that it can. They are read, alone
// and together, as by a reader that remembers nothing; also where the server gives
// pages before the rows of their accounts.
func TestDocumentsThatHaveChangedSinceTheLastRead(t *testing.T) {
	pool, s := readmodeltest.Open(t)
	readmodeltest.LargeAccount(t, pool, s, 3)
	const copies = 12
	execute := func(sql string, args ...any) {
		t.Helper()
		if _, err := pool.Exec(t.Context(), sql, args...); err != nil {
			t.Fatal(err)
		}
	}
	execute(`CREATE TABLE more AS SELECT * FROM export_g1.account_export`)
	execute(`DELETE FROM export_g1.account_export_pages`)
	execute(`DELETE FROM export_g1.account_export`)
	var ids []events.UUID
	for i := range byte(copies) {
		id := events.UUID{15: i + 1}
		execute(`UPDATE more SET account_id = $1`, [16]byte(id))
		execute(`INSERT INTO export_g1.account_export SELECT * FROM more`)
		ids = append(ids, id)
	}
	ids = append(ids, events.UUID{1}) // an account that was never heard of
	const sections = 3
	pages := []int{0, 1, 2, 40, 110, 255, 256, 257, 300} // of 4000 bytes; some 130 of them are more than one statement reads
	straight, reversed := export.NewReader(pool), export.NewReader(pool)
	for step := range len(pages) {
		for i, id := range ids[:copies] {
			n := pages[(i+step*(i%3+1))%len(pages)]
			counts := [sections]int{n / 5, n / 7, n - n/5 - n/7}
			execute(`DELETE FROM export_g1.account_export_pages WHERE account_id = $1`, [16]byte(id))
			for section, n := range counts {
				execute(`INSERT INTO export_g1.account_export_pages (account_id, section, page_key, body)
SELECT $1, $2, to_char(i, 'FM0000000'), ('"' || rpad(i::text, 4000 / (1 + $4 % 3), md5($4 || ' ' || i)) || '"')::bytea FROM generate_series(1, $3::integer) i`,
					[16]byte(id), section+1, n, i+step)
			}
			execute(`UPDATE export_g1.account_export SET position = position + 1, usage_pages = $2, key_pages = $3, sandbox_pages = $4, parked = $5
WHERE account_id = $1`, [16]byte(id), counts[0], counts[1], counts[2], step)
		}
		type got struct {
			meta export.Meta
			body string
		}
		want := map[events.UUID]got{}
		for _, id := range ids {
			var g got
			g.meta, g.body = readmodeltest.Read(t, export.NewReader(pool), id)
			want[id] = g
		}
		for name, x := range map[string]*export.Reader{"in order": straight, "reversed": reversed} {
			for _, together := range []bool{step%2 == 0, step%2 != 0} {
				var all sync.WaitGroup
				for _, id := range ids {
					one := func() {
						meta, body := readmodeltest.Read(t, x, id)
						if w := want[id]; body != w.body || fmt.Sprint(meta) != fmt.Sprint(w.meta) {
							t.Errorf("step %d, %s, together %v: account %s: %d bytes, %+v, want %d, %+v", step, name, together, id, len(body), meta, len(w.body), w.meta)
						}
					}
					if together {
						all.Go(one)
					} else {
						one()
					}
				}
				all.Wait()
			}
			if name == "reversed" {
				export.Reverse(x)
			}
		}
	}
	nothingHeld(t, straight)
	nothingHeld(t, reversed)
}
