package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"accountexport/readmodel"
)

// plan is what `projector erase --dry-run` prints: what would be done.
type plan struct {
	Account  string   `json:"account"`
	Erased   uint64   `json:"erased_at_position"` // 0: account.erased would be published
	Messages int      `json:"messages"`           // of the account, that would be removed
	Strays   int      `json:"strays"`             // on mistyped subjects
	Rows     int64    `json:"rows"`
	Purged   []string `json:"copies_purged"` // copies of the stream that would lose its messages, too
	Kept     []string `json:"copies_kept"`   // and that would keep them

	stream string
}

// plan looks for what would be removed.
func (e *erasing) plan(ctx context.Context) (*plan, error) {
	f, err := search(ctx, e.client, e.account, e.needles, e.first.Position)
	if err != nil {
		return nil, err
	}
	rows, err := readmodel.LookFor(ctx, e.pool, e.account, e.needles.in)
	if err != nil {
		return nil, err
	}
	p := &plan{Account: e.account.String(), Erased: e.first.Position, Messages: len(f.own), Strays: len(f.strays), Rows: rows.Rows,
		Purged: []string{}, Kept: []string{}, stream: e.client.Stream()}
	for _, name := range e.copies {
		if slices.Contains(e.purgeCopies, name) {
			p.Purged = append(p.Purged, name)
		} else {
			p.Kept = append(p.Kept, name)
		}
	}
	return p, nil
}

func (p *plan) print(out io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(out).Encode(p)
	}
	if p.Erased > 0 {
		fmt.Fprintf(out, "account %s is erased already, at position %d\n", p.Account, p.Erased)
	} else {
		fmt.Fprintf(out, "would publish that account %s is erased, and wait until that is projected\n", p.Account)
	}
	fmt.Fprintf(out, "would remove %d messages of the account and %d on mistyped subjects from stream %s, and %d rows\n", p.Messages, p.Strays, p.stream, p.Rows)
	for _, name := range p.Purged {
		fmt.Fprintf(out, "would remove its messages from stream %s, a copy\n", name)
	}
	for _, name := range p.Kept {
		fmt.Fprintf(out, "would leave stream %s as it is, a copy: --purge-copies names those that are not to keep its messages\n", name)
	}
	_, err := fmt.Fprintln(out, "nothing was changed")
	return err
}
