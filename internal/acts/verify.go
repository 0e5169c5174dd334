package acts

import (
	"context"
	"errors"
	"fmt"

	"accountexport/events"
	"accountexport/internal/tracing"
)

// Verdict is the result of comparing an account, or a tier, with the stream. Account
// and Tier are empty where it is about parked messages that belong to no account.
type Verdict struct {
	Account     string   `json:"account,omitempty"`
	Tier        string   `json:"tier,omitempty"`
	Position    uint64   `json:"position"`        // of the stored row; 0 where there is none
	Folded      uint64   `json:"folded_position"` // 0 where the stream holds no message of it
	Differences []string `json:"differences"`     // empty where stored and folded are the same

	Less       bool `json:"-"` // the stream holds less than the stored row was folded from
	NeverHeard bool `json:"-"` // neither the stream nor the read model knows it
	Due        bool `json:"-"` // an older version has parked messages of it, and it is about to be refolded
}

// Same tells whether no difference was found.
func (v Verdict) Same() bool { return len(v.Differences) == 0 }

// Verified counts what a verification has compared.
type Verified struct {
	Accounts int // compared, each once
	Rows     int // of them, those that have a row in the read model
	InStream int // of them, those of which the stream holds messages up to the checkpoints
	Tiers    int // compared
	Differ   int // accounts and tiers that differ
}

// ErrNothingCompared means that there was nothing to compare.
var ErrNothingCompared = errors.New("nothing was compared")

// Verifier compares what is stored with the stream: everything by its digest, and
// what differs section by section. A row that is right and does not record what went
// into it, since an older program wrote it, is completed, unless the stream is refused.
// Nothing else is written.
//
// [Verifier.Account], [Verifier.Sample] and [Verifier.All] may follow each other, one
// at a time; their counts add up.
type Verifier struct {
	Target

	// Options.
	Limit        ReadLimit
	Unattributed bool // All also compares the parked messages that belong to no account
	WriteNothing bool // leave rows that record nothing as they are; default: complete them

	// Callbacks, called by the method that runs, which waits for them.
	OnVerdict  func(Verdict) error       // with every verdict; an error ends the verification
	OnProgress func(compared, total int) // by All: how many accounts were compared, of how many; default: nobody

	Verified // the counts; of the method that runs

	repairs     repairs              // what the verdicts so far need
	tierIDs     map[string]bool      // the tiers of the accounts that were folded
	missingRows map[events.UUID]bool // accounts that were found to have no row
	digestOnly  bool                 // do not explain differences; set by the audit
	progress    progress
}

func (v *Verifier) report(out Verdict) error {
	switch {
	case out.Account != "":
		v.Accounts++
		if out.Position > 0 {
			v.Rows++
		}
		if out.Folded > 0 {
			v.InStream++
		}
	case out.Tier != "":
		v.Tiers++
	}
	if !out.Same() {
		v.Differ++
	}
	v.repairs.add(out)
	if err := v.OnVerdict(out); err != nil {
		return err
	}
	v.reportProgress()
	return nil
}

// Advice says how many accounts and tiers differ, and what repairs them without a loss.
func (v *Verifier) Advice() string { return v.repairs.advice() }

// Account verifies one account and its tier. An account that neither the stream nor the
// read model knows is a difference.
func (v *Verifier) Account(ctx context.Context, id events.UUID) (err error) {
	ctx, end := tracing.Phase(ctx, "verify account")
	defer func() { end(err) }()
	out, err := v.VerifyTwice(ctx, id)
	if err != nil {
		return err
	}
	if out.Position == 0 && out.Folded == 0 {
		out.NeverHeard = true
		out.Differences = []string{"never heard of: neither the stream, up to the checkpoints, nor the read model holds anything of it"}
	}
	if err := v.report(out); err != nil {
		return err
	}
	return v.verifyTiers(ctx, false)
}

// checkCompared fails where nothing was compared.
func (v *Verifier) checkCompared() error {
	if v.Accounts+v.Tiers == 0 {
		return fmt.Errorf("%w: neither the stream, up to the checkpoints, nor the read model holds an account", ErrNothingCompared)
	}
	return nil
}
