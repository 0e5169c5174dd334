package readmodel

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"accountexport/projections"
)

// NoteOutcomes puts into a replica's row what it has counted since its start, and tells
// whether it has a row, which it has while it is a member. The statement waits neither
// for the disk nor for a standby, so that the row is not locked meanwhile: heartbeats
// write the same one.
func NoteOutcomes(ctx context.Context, db interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}, replica string, counted map[projections.TypeOutcome]int64) (member bool, err error) {
	byType := map[string]map[string]int64{}
	for k, n := range counted {
		if byType[k.Type] == nil {
			byType[k.Type] = map[string]int64{}
		}
		byType[k.Type][k.Outcome.String()] = n
	}
	text, err := json.Marshal(byType)
	if err != nil {
		return false, fmt.Errorf("note outcomes: %w", err)
	}
	tag, err := db.Exec(ctx, `
WITH unhurried AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))
UPDATE export.members SET outcomes = $2::text::json FROM unhurried WHERE member = $1`, replica, string(text))
	if err != nil {
		return false, fmt.Errorf("note outcomes: %w", ExplainOutdatedSchema(err))
	}
	return tag.RowsAffected() > 0, nil
}

// ParseOutcomes reads what [NoteOutcomes] has written; nil where nothing was, and where
// it is nothing that a program of ours has written. Outcomes that only a newer program
// knows are left out.
func ParseOutcomes(text *string) map[projections.TypeOutcome]int64 {
	if text == nil {
		return nil
	}
	var byType map[string]map[string]int64
	if json.Unmarshal([]byte(*text), &byType) != nil || byType == nil {
		return nil
	}
	counted := map[projections.TypeOutcome]int64{}
	for label, counts := range byType {
		for _, o := range projections.Outcomes() {
			if n, there := counts[o.String()]; there {
				counted[projections.TypeOutcome{Type: label, Outcome: o}] = n
			}
		}
	}
	return counted
}
