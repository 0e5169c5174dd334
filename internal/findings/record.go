package findings

import (
	"fmt"
	"time"

	"accountexport/internal/acts"
	"accountexport/readmodel"
)

// How many findings of a kind there are at most; one more says how many are left out.
const (
	mostProblems = 8
	mostErasures = 20
)

// everything is the command that shows what is left out.
const everything = "projector status --json"

// ofProblems is what is on record of why a projector has refused, or begins again with
// errors.
func ofProblems(st *acts.Status) (all []Finding) {
	for i, p := range st.Problems {
		if i == mostProblems {
			return append(all, Finding{Severity: Attention, What: Problem, Commands: []string{everything},
				Text: fmt.Sprintf("on record: %d more: `%s`", len(st.Problems)-i, everything)})
		}
		f := Finding{Severity: Attention, What: Problem, Generation: p.Generation}
		what := fmt.Sprintf("partition %d begins again, %s", p.Partition, p.Reason)
		switch {
		case p.Class == readmodel.Refused:
			what = "`projector run` has refused, " + p.Reason
		case p.Partition == readmodel.NoPartition:
			what = "a projector begins again, " + p.Reason
		}
		if p.Partition != readmodel.NoPartition {
			f.Partition = &p.Partition
		}
		if p.Class == readmodel.Refused && st.Refused == nil && nobody(st) {
			f.Commands = []string{"projector run"} // what it has refused is over, and it does not know yet
		}
		f.Text = line("on record: %s: %s%s; %d times since %s, last %s, by %s; gone once that is projected again", what, p.Message, where(p), p.Times,
			p.First.UTC().Format(time.RFC3339), p.Noted.UTC().Format(time.RFC3339), p.Replica)
		all = append(all, f)
	}
	return all
}

// where is where a problem has come up, as far as that is known.
func where(p readmodel.Problem) string {
	switch {
	case p.Position == 0:
		return ""
	case p.Until == 0:
		return fmt.Sprintf("; it stands at position %d", p.Position)
	case p.Until == p.Position:
		return fmt.Sprintf("; the message at position %d, %s", p.Position, p.EventType)
	}
	return fmt.Sprintf("; a message from position %d, %s, to %d", p.Position, p.EventType, p.Until)
}

// ofErasures is what has to be done about erasures and their ledger.
func ofErasures(st *acts.Status) (all []Finding) {
	if st.ErasedServed > 0 {
		f := Finding{Severity: Broken, What: ErasedServed, Generation: st.Generation.Number,
			Text: fmt.Sprintf("%d accounts on the ledger of erasures are served still: keep the API stopped until this line is gone", st.ErasedServed)}
		if st.Refused == nil && nobody(st) {
			f.Commands = []string{"projector run"} // the stream holds their erasures, and nobody folds them
		}
		all = append(all, f)
	}
	for i, account := range st.PendingErasures {
		if i == mostErasures {
			all = append(all, Finding{Severity: Attention, What: ErasureUnfinished, Commands: []string{everything},
				Text: fmt.Sprintf("the erasures of %d more accounts are not finished: `%s` names them", len(st.PendingErasures)-i, everything)})
			break
		}
		goesOn := fmt.Sprintf("projector erase --account %s", account)
		all = append(all, Finding{Severity: Attention, What: ErasureUnfinished, Account: &account, Commands: []string{goesOn},
			Text: fmt.Sprintf("the erasure of account %s is not finished: `%s` goes on with it", account, goesOn)})
	}
	if LedgerDue(st.Ledger) {
		last := "was never exported"
		if st.Ledger.Exported != nil {
			last = "was exported last " + st.Ledger.Exported.UTC().Format(time.RFC3339)
		}
		export := "projector erasures export"
		all = append(all, Finding{Severity: Attention, What: LedgerNotExported, Commands: []string{export},
			Text: fmt.Sprintf("the ledger of %d erasures %s: `%s`, once a day, to where the database's loss does not reach", st.Ledger.Erasures, last, export)})
	}
	return all
}
