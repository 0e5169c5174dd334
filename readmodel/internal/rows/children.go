package rows

import (
	"accountexport/projections"
	"accountexport/projections/engine"
	"accountexport/readmodel"
)

// inOneStatement is how many of n rows go into one statement, the first at least.
func inOneStatement(n int, bytes func(i int) int) int {
	size, i := 0, 0
	for i < n && i < itemsPerStatement && size < bytesPerStatement {
		size += bytes(i)
		i++
	}
	return i
}

// queuePages writes the pages that were sealed or changed.
func queuePages(q QueueFunc, generation int64, changes []projections.Change) {
	var ids [][16]byte
	var sections []int16
	var keys []string
	var bodies [][]byte
	for i := range changes {
		for _, p := range changes[i].Pages {
			ids, sections = append(ids, changes[i].Row.ID), append(sections, int16(p.Section))
			keys, bodies = append(keys, p.Key), append(bodies, p.Body)
		}
	}
	for len(ids) > 0 {
		n := inOneStatement(len(ids), func(i int) int { return len(bodies[i]) })
		q(readmodel.InSchema(generation, `
INSERT INTO {schema}.account_export_pages (account_id, section, page_key, body)
SELECT * FROM unnest($1::uuid[], $2::smallint[], $3::text[], $4::bytea[])
ON CONFLICT (account_id, section, page_key) DO UPDATE SET body = excluded.body`), ids[:n], sections[:n], keys[:n], bodies[:n])
		ids, sections, keys, bodies = ids[n:], sections[n:], keys[n:], bodies[n:]
	}
}

// queueItems adds to the directory that says on which page an item is. An item is
// sealed once, so its row is new.
func queueItems(q QueueFunc, b *engine.Batch) {
	var ids [][16]byte
	var sections []int16
	var items, pages []string
	for i := range b.Changes {
		for _, it := range b.Changes[i].Sealed {
			ids, sections = append(ids, b.Changes[i].Row.ID), append(sections, int16(it.Section))
			items, pages = append(items, it.Item), append(pages, it.Page)
		}
	}
	for len(ids) > 0 {
		n := min(len(ids), itemsPerStatement)
		q(readmodel.InSchema(b.Generation, `
INSERT INTO {schema}.account_export_items (account_id, section, item, page_key)
SELECT * FROM unnest($1::uuid[], $2::smallint[], $3::text[], $4::text[])`), ids[:n], sections[:n], items[:n], pages[:n])
		ids, sections, items, pages = ids[n:], sections[n:], items[n:], pages[n:]
	}
}

// queueWaiting stores the patches that wait for their entity, and removes those that
// have been applied.
func queueWaiting(q QueueFunc, b *engine.Batch) {
	type rows struct {
		ids      [][16]byte
		entities []int16
		keys     []string
		patches  [][]byte
	}
	var set, applied rows
	for i := range b.Changes {
		for _, w := range b.Changes[i].Waiting {
			r := &set
			if w.Body == nil {
				r = &applied
			}
			r.ids, r.entities = append(r.ids, b.Changes[i].Row.ID), append(r.entities, int16(w.Entity))
			r.keys, r.patches = append(r.keys, w.ID), append(r.patches, w.Body)
		}
	}
	if applied.ids != nil {
		q(readmodel.InSchema(b.Generation, `
DELETE FROM {schema}.account_waiting w USING unnest($1::uuid[], $2::smallint[], $3::text[]) AS u (account_id, entity, entity_id)
WHERE w.account_id = u.account_id AND w.entity = u.entity AND w.entity_id = u.entity_id`), applied.ids, applied.entities, applied.keys)
	}
	for len(set.ids) > 0 {
		n := inOneStatement(len(set.ids), func(i int) int { return len(set.patches[i]) })
		q(readmodel.InSchema(b.Generation, `
INSERT INTO {schema}.account_waiting (account_id, entity, entity_id, patch)
SELECT * FROM unnest($1::uuid[], $2::smallint[], $3::text[], $4::bytea[])
ON CONFLICT (account_id, entity, entity_id) DO UPDATE SET patch = excluded.patch`), set.ids[:n], set.entities[:n], set.keys[:n], set.patches[:n])
		set = rows{set.ids[n:], set.entities[n:], set.keys[n:], set.patches[n:]}
	}
}

// queueTiers stores the definitions of quota tiers.
func queueTiers(q QueueFunc, b *engine.Batch) {
	if len(b.Tiers) == 0 {
		return
	}
	n := len(b.Tiers)
	ids, partitions, positions, bodies := make([]string, n), make([]int32, n), make([]int64, n), make([][]byte, n)
	for i, t := range b.Tiers {
		ids[i], partitions[i], positions[i], bodies[i] = t.ID, int32(t.Partition), int64(t.Position), t.Body
	}
	q(readmodel.InSchema(b.Generation, `
INSERT INTO {schema}.quota_tiers (id, partition, position, body)
SELECT * FROM unnest($1::text[], $2::integer[], $3::bigint[], $4::bytea[])
ON CONFLICT (id) DO UPDATE SET partition = excluded.partition, position = excluded.position, body = excluded.body`),
		ids, partitions, positions, bodies)
}
