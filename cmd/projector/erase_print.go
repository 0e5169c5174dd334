package main

import (
	"fmt"
	"time"

	"accountexport/internal/acts"
)

// printPlan says what an erasure would do.
func (p *program) printPlan(plan *acts.Plan) error {
	if p.asJSON {
		return p.printJSON(plan)
	}
	out := p.out
	if plan.Erased > 0 {
		fmt.Fprintf(out, "account %s is erased already, at position %d\n", plan.Account, plan.Erased)
	} else {
		fmt.Fprintf(out, "would publish that account %s is erased, and wait until that is projected\n", plan.Account)
	}
	fmt.Fprintf(out, "would remove %d messages of the account and %d on mistyped subjects from stream %s, and %d rows\n", plan.Messages, plan.Strays,
		plan.Stream, plan.Rows)
	if plan.Audited > 0 {
		fmt.Fprintf(out, "would take it out of the audit, where %d lines name it, this look among them\n", plan.Audited)
	}
	for _, name := range plan.Purged {
		fmt.Fprintf(out, "would remove its messages from stream %s, a copy\n", name)
	}
	for _, name := range plan.Kept {
		fmt.Fprintf(out, "would leave stream %s as it is, a copy: --purge-copies names those that are not to keep its messages\n", name)
	}
	_, err := fmt.Fprintln(out, "nothing was changed")
	return err
}

// printReceipt prints the receipt of an erasure: with --json to the byte, since the
// ledger of erasures holds the digest of these bytes.
func (p *program) printReceipt(r *acts.Receipt) error {
	out := p.out
	if p.asJSON {
		b, err := r.JSON()
		if err == nil {
			_, err = out.Write(b)
		}
		return err
	}
	if r.Already {
		fmt.Fprintf(out, "account %s was erased already, at position %d\n", r.Account, r.ErasedAt)
	}
	fmt.Fprintf(out, `account            %s
erased at          position %d, the one message of it that stays
messages removed   %d of the account, %d on mistyped subjects
rows removed       %d beside those that folding the event removed
`, r.Account, r.ErasedAt, r.MessagesRemoved, r.StraysRemoved, r.RowsRemoved)
	for _, g := range r.Failed {
		fmt.Fprintf(out, "given up           generation %d, which was being built; the next %s starts anew\n", g, "`projector rebuild`")
	}
	for _, c := range r.Copies {
		if c.Purged {
			fmt.Fprintf(out, "copy               stream %s: %d messages removed, %d searched, %d left\n", c.Stream, c.Removed, c.Searched, c.Left)
			continue
		}
		fmt.Fprintf(out, "copy               stream %s KEEPS the account's messages\n", c.Stream)
	}
	fmt.Fprintf(out, `searched           %d messages, every table of every generation, dismissals and the audit
left               %d messages, %d rows
not seen           %s
done               %s
`, r.MessagesSearched, r.MessagesLeft, r.RowsLeft, r.NotSeen, r.Done.Format(time.RFC3339))
	if r.Unreadable > 0 {
		fmt.Fprintf(out, "unreadable         %d messages that the server counts and can give to nobody, whoseever they were, as was accepted before\n", r.Unreadable)
	}
	if len(r.ElsewhereAt) > 0 {
		fmt.Fprintf(out, "mentioned          in messages of other accounts, which are theirs: positions %v\n", r.ElsewhereAt)
	}
	return nil
}
