package main

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"accountexport/events"
	"accountexport/projections"
	"accountexport/readmodel"
)

// counts holds what rows say went into them against folds of their accounts'
// messages, and tells the differences. Rows that say nothing get it from the
// fold here, where all that is stored agrees with it. A row that has moved on
// since is not judged.
func (v *verifying) counts(ctx context.Context, folded map[events.UUID]readmodel.Sum) (map[events.UUID][]string, error) {
	rows, err := readmodel.Sums(ctx, v.pool, slices.Collect(maps.Keys(folded)))
	if err != nil {
		return nil, err
	}
	differences := map[events.UUID][]string{}
	silent := map[events.UUID]readmodel.Sum{}
	for id, want := range folded {
		row, there := rows[id]
		switch {
		case !there || row.Position != want.Position:
		case row.Messages == 0:
			silent[id] = want
		case row.Messages != want.Messages:
			differences[id] = append(differences[id], fmt.Sprintf("messages: counted %d, folded %d", row.Messages, want.Messages))
		case row.Digest != want.Digest:
			differences[id] = append(differences[id], fmt.Sprintf("digest: stored %s, folded %s", row.Digest, want.Digest))
		}
	}
	if len(silent) == 0 {
		return differences, nil
	}
	other, err := readmodel.NoteSums(ctx, v.pool, silent)
	for _, id := range other {
		differences[id] = append(differences[id], "what waits or is parked, or the layout of what is stored, differs")
	}
	return differences, err
}

// sumOf is what a fold that was never stored has come to. It flushes the
// account, so it is asked for once.
func sumOf(a *projections.Account) (readmodel.Sum, error) {
	c, err := a.Flush()
	return readmodel.Sum{Position: c.Row.Position, Messages: c.Messages, Digest: c.Digest}, err
}
