package segments

import (
	"bytes"
	"context"

	"github.com/jackc/pgx/v5"

	"accountexport/events"
	"accountexport/readmodel"
	"accountexport/readmodel/export"
	"accountexport/readmodel/internal/pg"
)

// lookedBytes is what looking at a page counts as, which does not read its content.
const lookedBytes = 1 << 10

// run is a run of pages that a segment can be made of.
type run struct {
	section     int16
	first, last string
	pages       int
}

// account makes the account's segments. Between them it waits, for the rate's sake.
func (w *Walker) account(ctx context.Context, generation int64, account events.UUID) error {
	runs, looked, err := w.runs(ctx, generation, account)
	if err != nil {
		return err
	}
	if err := w.pause(ctx, looked*lookedBytes); err != nil {
		return err
	}
	for _, r := range runs {
		n, err := w.compress(ctx, generation, account, r)
		if err != nil {
			return err
		}
		if err := w.pause(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// runs are the runs of pages, at rest and of no segment, that there can be a segment of:
// those of [segmentPages], or of fewer where they lie before a segment. What lies at a
// section's end waits until there is more of it. looked is how many pages there are.
func (w *Walker) runs(ctx context.Context, generation int64, account events.UUID) (runs []run, looked int, err error) {
	b := &pgx.Batch{}
	b.Queue(pg.PreferIndexes)
	b.Queue(readmodel.InSchema(generation, `
SELECT section, page_key, 0, age(xmin) NOT BETWEEN 0 AND $2 - 1, octet_length(body) FROM {schema}.account_export_pages WHERE account_id = $1
UNION ALL
SELECT section, first_key, cardinality(written_by), true, 0 FROM {schema}.account_export_segments s WHERE account_id = $1 AND `+export.SegmentHolds+`
ORDER BY 1, 2, 3 DESC`), [16]byte(account), w.Resting)
	results := w.pool.SendBatch(ctx, b)
	defer func() {
		if closeErr := results.Close(); err == nil {
			err = closeErr
		}
	}()
	if _, err := results.Exec(); err != nil {
		return nil, 0, err
	}
	rows, err := results.Query()
	if err != nil {
		return nil, 0, err
	}
	var section int16
	var key string
	var covers, size, covered, length int // pages of a segment, bytes of a page, pages that the last segment still has, bytes of r
	var resting bool
	var r run
	end := func() {
		if r.pages > 0 {
			runs = append(runs, r)
		}
		r, length = run{}, 0
	}
	_, err = pgx.ForEachRow(rows, []any{&section, &key, &covers, &resting, &size}, func() error {
		if covers > 0 {
			if r.section == section {
				end()
			}
			r, length, covered = run{}, 0, covers
			return nil
		}
		looked++
		switch {
		case covered > 0:
			covered--
			return nil
		case !resting || r.section != section:
			r, length = run{}, 0
		}
		if !resting {
			return nil
		}
		if r.pages == 0 {
			r.section, r.first = section, key
		}
		r.last, r.pages, length = key, r.pages+1, length+size
		if r.pages == segmentPages || length >= segmentBytes {
			end()
		}
		return nil
	})
	return runs, looked, err
}

// compress makes a segment of a run, and says of how many bytes; 0 where it is not made,
// because one of the pages has changed meanwhile or a projector is about to change the
// account. The pages are read and compressed without a lock. Then, in one round trip, the
// account's row is locked, or not where it is locked already, and the segment is stored
// where the row was locked and the pages are still those that were read, in the place of
// those that no longer hold: whoever removes one of the pages meanwhile waits for the
// lock, and removes the segment.
func (w *Walker) compress(ctx context.Context, generation int64, account events.UUID, r run) (int, error) {
	rows, err := w.pool.Query(ctx, readmodel.InSchema(generation, `
SELECT xmin::text, body FROM {schema}.account_export_pages
WHERE account_id = $1 AND section = $2 AND page_key >= $3 AND page_key <= $4 ORDER BY page_key`), [16]byte(account), r.section, r.first, r.last)
	if err != nil {
		return 0, err
	}
	var writtenBy []string
	var bodies [][]byte
	var by string
	var body []byte
	if _, err := pgx.ForEachRow(rows, []any{&by, &body}, func() error {
		writtenBy, bodies = append(writtenBy, by), append(bodies, bytes.Clone(body))
		return nil
	}); err != nil || len(bodies) != r.pages {
		return 0, err
	}
	plain := bytes.Join(bodies, []byte{','})
	deflated, crc := export.Deflate(plain)
	b := &pgx.Batch{}
	b.Queue(`BEGIN`)
	b.Queue(pg.AsyncCommit)
	b.Queue(readmodel.InSchema(generation, `SELECT FROM {schema}.account_export WHERE account_id = $1 FOR NO KEY UPDATE SKIP LOCKED`), [16]byte(account))
	made := false
	b.Queue(readmodel.InSchema(generation, `
DELETE FROM {schema}.account_export_segments s WHERE account_id = $1 AND section = $2 AND first_key <= $4 AND last_key >= $3 AND NOT (`+export.SegmentHolds+`)
    AND EXISTS (SELECT FROM {schema}.account_export WHERE account_id = $1 AND xmax = pg_current_xact_id()::xid)`),
		[16]byte(account), r.section, r.first, r.last)
	b.Queue(readmodel.InSchema(generation, `
INSERT INTO {schema}.account_export_segments (account_id, section, first_key, last_key, written_by, length, crc, deflated)
SELECT $1, $2, $3, $4, $5::text[]::xid[], $6, $7, $8
WHERE EXISTS (SELECT FROM {schema}.account_export WHERE account_id = $1 AND xmax = pg_current_xact_id()::xid)
    AND $5::text[]::xid[] = ARRAY(SELECT xmin FROM {schema}.account_export_pages
        WHERE account_id = $1 AND section = $2 AND page_key >= $3 AND page_key <= $4 ORDER BY page_key)
    AND NOT EXISTS (SELECT FROM {schema}.account_export_segments
        WHERE account_id = $1 AND section = $2 AND first_key <= $4 AND last_key >= $3)`),
		[16]byte(account), r.section, r.first, r.last, writtenBy, len(plain), int64(crc), deflated)
	b.Queue(`COMMIT`)
	results := w.pool.SendBatch(ctx, b)
	for i := range b.Len() {
		tag, err := results.Exec()
		if err != nil {
			_ = results.Close()
			return 0, err
		}
		made = made || i == 4 && tag.RowsAffected() == 1
	}
	if err := results.Close(); err != nil || !made {
		return 0, err
	}
	w.compressed(len(plain))
	return len(plain), nil
}
