package admin

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"

	"accountexport/projections"
	"accountexport/projections/engine"
	"accountexport/readmodel"
	"accountexport/readmodel/internal/rows"
)

// staging brings what accounts are to be replaced with into temporary tables of a
// transaction, and finds by what is stored what has to be removed and what to be
// added, all without a lock; [staging.apply] does no more than that, in one round
// trip. After an error it does nothing.
type staging struct {
	ctx        context.Context
	tx         pgx.Tx
	generation int64
	created    bool  // the temporary tables are
	err        error // the first one
}

// stagedTable is a table that holds what an account has beside its row.
type stagedTable struct {
	name, key, columns string // key and columns are separated by commas
}

// tables are all of the tables that are staged.
func (s *staging) tables() []stagedTable {
	return []stagedTable{
		{"account_export_pages", "account_id, section, page_key", strings.Join(rows.PageColumns, ", ")},
		{"account_export_items", "account_id, section, item", strings.Join(rows.ItemColumns, ", ")},
		{"account_waiting", "account_id, entity, entity_id", strings.Join(rows.WaitingColumns, ", ")},
		{"parked", "position", strings.Join(rows.ParkedColumns, ", ")},
	}
}

// put stages what the accounts have beside their rows, in the place of what was
// staged before: what the batch holds, and the parts that more adds.
func (s *staging) put(b *engine.Batch, more func(add func(projections.Change) error) error) {
	s.send(func(q rows.QueueFunc) {
		if s.created {
			s.each(q, `TRUNCATE {staged}`)
			return
		}
		s.each(q, `CREATE TEMPORARY TABLE {staged} (LIKE {stored} INCLUDING COMPRESSION) ON COMMIT DROP`)
		s.each(q, `CREATE TEMPORARY TABLE {fresh} (LIKE {stored} INCLUDING COMPRESSION) ON COMMIT DROP`)
		s.each(q, `CREATE TEMPORARY TABLE {gone} ON COMMIT DROP AS SELECT {key} FROM {stored} WITH NO DATA`)
	})
	if s.created = true; s.err != nil {
		return
	}
	c := rows.NewCopier(s.ctx, s.tx, "pg_temp", "staged_")
	add := func(changes []projections.Change) error {
		c.Pages(changes)
		c.Items(changes)
		c.Waiting(changes)
		return c.Err()
	}
	c.Parked(b.Parked)
	if s.err = add(b.Changes); s.err == nil {
		s.err = more(func(change projections.Change) error { return add([]projections.Change{change}) })
	}
	s.send(func(q rows.QueueFunc) { s.each(q, `ANALYZE {staged}`) })
}

// compare finds what has to be removed and added to make what is stored of some
// accounts what is staged.
func (s *staging) compare(accounts [][16]byte) {
	s.send(func(q rows.QueueFunc) {
		s.each(q, `TRUNCATE {gone}, {fresh}`)
		s.each(q, `
INSERT INTO {gone} SELECT {key} FROM {stored} t WHERE t.account_id = ANY($1)
    AND NOT EXISTS (SELECT FROM {staged} s WHERE {same key} AND {same})`, accounts)
		s.each(q, `
INSERT INTO {fresh} SELECT {columns} FROM {staged} s WHERE s.account_id = ANY($1)
    AND NOT EXISTS (SELECT FROM {stored} t WHERE t.account_id = ANY($1) AND {same key} AND {same})`, accounts)
		s.each(q, `ANALYZE {gone}`)
	})
}

// apply makes what is stored what is staged, with the accounts' rows, moves the
// batch's partitions on, and fences the partition's projector.
func (s *staging) apply(b *engine.Batch, partition int) {
	s.send(func(q rows.QueueFunc) {
		rows.QueueAdvances(q, b)
		s.each(q, `DELETE FROM {stored} t USING {gone} s WHERE {same key}`)
		s.each(q, `INSERT INTO {stored} ({columns}) SELECT {columns} FROM {fresh}`)
		ids := make([][16]byte, len(b.Changes))
		for i := range b.Changes {
			ids[i] = b.Changes[i].Row.ID
		}
		q(readmodel.InSchema(b.Generation, `DELETE FROM {schema}.account_export WHERE account_id = ANY($1)`), ids)
		rows.QueueErasedWipes(q, b)
		rows.QueueErasures(q, b)
		rows.QueueAccounts(q, b.Generation, b.Changes)
		rows.QueueDismissed(q, b)
		rows.QueueNewEpoch(q, b.Generation, partition)
	})
}

// each queues a statement for every table, with the names put in.
func (s *staging) each(q rows.QueueFunc, sql string, args ...any) {
	row := func(table, columns string) string {
		return "(" + table + "." + strings.ReplaceAll(columns, ", ", ", "+table+".") + ")"
	}
	for _, t := range s.tables() {
		q(readmodel.InSchema(s.generation, strings.NewReplacer(
			"{staged}", "pg_temp.staged_"+t.name, "{gone}", "pg_temp.gone_"+t.name, "{fresh}", "pg_temp.fresh_"+t.name, "{stored}", "{schema}."+t.name,
			"{columns}", t.columns, "{key}", t.key, "{same key}", row("s", t.key)+" = "+row("t", t.key),
			"{same}", row("s", t.columns)+" IS NOT DISTINCT FROM "+row("t", t.columns)).Replace(sql)), args...)
	}
}

// send sends statements in one round trip.
func (s *staging) send(queue func(q rows.QueueFunc)) {
	if s.err != nil {
		return
	}
	batch := &pgx.Batch{}
	queue(func(sql string, args ...any) { batch.Queue(sql, args...) })
	s.err = s.tx.SendBatch(s.ctx, batch).Close()
}
