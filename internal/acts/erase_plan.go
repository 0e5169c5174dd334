package acts

import (
	"context"
	"slices"

	"accountexport/readmodel/admin"
)

// Plan says what an erasure would do. Its JSON is what `projector erase --dry-run
// --json` prints.
type Plan struct {
	Account  string   `json:"account"`
	Erased   uint64   `json:"erased_at_position"` // 0 where account.erased would be published
	Messages int      `json:"messages"`           // messages of the account that would be removed
	Strays   int      `json:"strays"`             // messages on mistyped subjects that would be removed
	Rows     int64    `json:"rows"`
	Purged   []string `json:"copies_purged"` // copies of the stream whose messages of the account would be removed, too
	Kept     []string `json:"copies_kept"`   // copies that would keep them
	Audited  int64    `json:"audit_lines"`   // lines of the audit that would no longer name it

	Stream string `json:"-"` // the stream that the account would be erased from
}

// Plan looks for what would be removed, and changes nothing.
func (e *Eraser) Plan(ctx context.Context) (*Plan, error) {
	f, err := search(ctx, e.Stream, e.Account, e.identifiers, e.first.Position)
	if err != nil {
		return nil, err
	}
	rows, err := admin.FindTraces(ctx, e.Pool, e.Account, e.identifiers.matchAny)
	if err != nil {
		return nil, err
	}
	p := &Plan{Account: e.Account.String(), Erased: e.first.Position, Messages: len(f.own), Strays: len(f.strays), Rows: rows.Rows - rows.Audited, Audited: rows.Audited,
		Purged: []string{}, Kept: []string{}, Stream: e.Stream.Stream()}
	for _, name := range e.copies {
		if slices.Contains(e.PurgeCopies, name) {
			p.Purged = append(p.Purged, name)
		} else {
			p.Kept = append(p.Kept, name)
		}
	}
	return p, nil
}
