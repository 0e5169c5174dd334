package export_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/readmodel/export"
	"accountexport/readmodel/internal/readmodeltest"
)

// TestNeverMixed: documents of all sizes that change all the time are read by many,
// while connections are cut. Each is complete and of one version.
func TestNeverMixed(t *testing.T) {
	pool, s := readmodeltest.Open(t)
	a := readmodeltest.NewAccount(t, s, readmodeltest.Acquire(t, s), readmodeltest.AccountID)
	a.Register()
	if err := a.Commit(readmodeltest.FreeTier); err != nil {
		t.Fatal(err)
	}
	ids := []events.UUID{a.ID}
	for i := range 5 {
		id := events.UUID{15: byte(i + 1)}
		readmodeltest.Exec(t, pool, `INSERT INTO export_g1.account_export SELECT (jsonb_populate_record(e, '{"account_id": "`+id.String()+`"}')).* FROM export_g1.account_export e WHERE account_id = '`+readmodeltest.AccountID+`'`)
		ids = append(ids, id)
	}
	reading := readmodeltest.PoolWith(t, pool, func(cfg *pgxpool.Config) {
		cfg.MaxConns = 8
		cfg.ConnConfig.RuntimeParams["application_name"] = "lost"
	})
	x := export.NewReader(reading, export.Limits{Memory: 8 << 20, Dir: t.TempDir()})
	ctx, cancel := context.WithTimeout(t.Context(), 25*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	for w, id := range ids {
		wg.Add(1)
		go func() { // the writer
			defer wg.Done()
			for n := 1000; ctx.Err() == nil; n++ {
				pages := []int{0, 0, 1, 3, 10, 70, 120, 255, 256, 257, 400}[rand.N(11)]
				bytes := []int{1, 100, 1000, 4000}[rand.N(4)]
				err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
					for _, q := range []string{
						fmt.Sprintf(`DELETE FROM export_g1.account_export_pages WHERE account_id = '%s'`, id),
						fmt.Sprintf(`INSERT INTO export_g1.account_export_pages (account_id, section, page_key, body)
SELECT '%s', 1 + 3 * i / %d, to_char(i, 'FM0000000'), ('"<%d/%d>' || repeat('x', %d) || '"')::bytea FROM generate_series(0, %d) i`, id, max(pages, 1), w, n, bytes, pages-1),
						fmt.Sprintf(`UPDATE export_g1.account_export SET position = %d,
  usage_pages = (SELECT count(*) FROM export_g1.account_export_pages WHERE account_id = '%[2]s' AND section = 1),
  key_pages = (SELECT count(*) FROM export_g1.account_export_pages WHERE account_id = '%[2]s' AND section = 2),
  sandbox_pages = (SELECT count(*) FROM export_g1.account_export_pages WHERE account_id = '%[2]s' AND section = 3),
  sandboxes_tail = '"<%d/%d>last"' WHERE account_id = '%[2]s'`, n, id, w, n),
					} {
						if _, err := tx.Exec(ctx, q); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil && ctx.Err() == nil {
					t.Error(err)
				}
				time.Sleep(rand.N(20 * time.Millisecond))
			}
		}()
	}
	wg.Add(1)
	go func() { // cuts connections
		defer wg.Done()
		for ctx.Err() == nil {
			_, _ = pool.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'lost' AND datname = current_database() AND random() < 0.5`)
			time.Sleep(rand.N(400 * time.Millisecond))
		}
	}()
	mark := regexp.MustCompile(`<(\d+/\d+)>`)
	var reads, failed, broken, large atomic.Int64
	for range 24 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for ctx.Err() == nil {
				w := rand.N(len(ids))
				d, err := x.Open(ctx, ids[w])
				if err != nil {
					if ctx.Err() == nil {
						failed.Add(1)
						t.Logf("open: %v", err)
					}
					continue
				}
				var b bytes.Buffer
				_, err = d.WriteTo(&b)
				if err != nil {
					broken.Add(1)
				} else if reads.Add(1); d.Position >= 1000 {
					want := fmt.Sprintf("%d/%d", w, d.Position)
					for _, m := range mark.FindAllSubmatch(b.Bytes(), -1) {
						if string(m[1]) != want {
							t.Errorf("of %s there is %s", want, m[1])
							break
						}
					}
					if !json.Valid(b.Bytes()) || int64(b.Len()) != d.Size() {
						t.Errorf("%d bytes of %d, valid %t", b.Len(), d.Size(), json.Valid(b.Bytes()))
					}
					if b.Len() > 512<<10 {
						large.Add(1)
					}
				}
				d.Close()
			}
		}()
	}
	wg.Wait()
	t.Logf("%d reads, %d large, %d were refused, %d broke off", reads.Load(), large.Load(), failed.Load(), broken.Load())
	if failed.Load() > 0 {
		t.Errorf("%d were refused", failed.Load())
	}
}
