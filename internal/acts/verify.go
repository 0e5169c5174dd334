package acts

import (
	"context"
	"errors"
	"fmt"

	"accountexport/events"
)

// Verdict is what became of holding an account, or a tier, against the stream; of
// neither where it is about what is parked of nobody.
type Verdict struct {
	Account     string   `json:"account,omitempty"`
	Tier        string   `json:"tier,omitempty"`
	Position    uint64   `json:"position"`        // as stored; 0 where nothing is
	Folded      uint64   `json:"folded_position"` // 0 where the stream holds no message of it
	Differences []string `json:"differences"`     // empty where stored and folded are the same

	Less       bool `json:"-"` // the stream holds less of it than what is stored was folded from
	NeverHeard bool `json:"-"` // neither the stream nor the read model knows it
	Due        bool `json:"-"` // an older version has parked messages of it, and it is about to be refolded
}

// Same tells whether no difference was found.
func (v Verdict) Same() bool { return len(v.Differences) == 0 }

// Verified says how much a verification has looked at.
type Verified struct {
	Accounts int // compared, each once
	Rows     int // of them that the read model has a row of
	InStream int // of them that the stream holds messages of, up to the checkpoints
	Tiers    int // compared
	Differ   int // accounts and tiers
}

// ErrNothingCompared means that there was nothing to look at.
var ErrNothingCompared = errors.New("nothing was compared")

// Verifier holds what is stored against the stream: every part of it by its
// digest, and what differs by section. Rows that do not say what went into them
// are told, where they are right, and the stream is not refused by then.
type Verifier struct {
	Target
	Limit      ReadLimit
	OnVerdict  func(Verdict) error       // every verdict
	OnProgress func(compared, total int) // told by [Verifier.All]; default: nobody

	Unattributed bool // whether [Verifier.All] looks at what is parked of no account, too

	Verified
	mend     repairs
	brief    bool                 // whether that an account differs is enough
	named    map[string]bool      // tiers, by what was folded
	lost     map[events.UUID]bool // accounts that were found to have no row
	progress progress
}

func (v *Verifier) tell(out Verdict) error {
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
	v.mend.see(out)
	if err := v.OnVerdict(out); err != nil {
		return err
	}
	v.reportProgress()
	return nil
}

// Advice says how many differ, and what mends them without a loss.
func (v *Verifier) Advice() string { return v.mend.advice() }

// Account verifies one account, and its tier. One that neither the stream nor
// the read model knows is a difference: it never was.
func (v *Verifier) Account(ctx context.Context, id events.UUID) error {
	out, err := v.VerifyTwice(ctx, id)
	if err != nil {
		return err
	}
	if out.Position == 0 && out.Folded == 0 {
		out.NeverHeard = true
		out.Differences = []string{"never heard of: neither the stream, up to the checkpoints, nor the read model holds anything of it"}
	}
	if err := v.tell(out); err != nil {
		return err
	}
	return v.tiers(ctx, false)
}

// looked fails where nothing was looked at.
func (v *Verifier) looked() error {
	if v.Accounts+v.Tiers == 0 {
		return fmt.Errorf("%w: neither the stream, up to the checkpoints, nor the read model holds an account", ErrNothingCompared)
	}
	return nil
}
