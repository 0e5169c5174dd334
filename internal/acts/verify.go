package acts

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"accountexport/events"
	"accountexport/projections"
	"accountexport/readmodel/admin"
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
	Limit     ReadLimit
	OnVerdict func(Verdict) error // every verdict

	Unattributed bool // whether [Verifier.All] looks at what is parked of no account, too

	Verified
	mend  repairs
	brief bool                 // whether that an account differs is enough
	named map[string]bool      // tiers, by what was folded
	lost  map[events.UUID]bool // accounts that were found to have no row
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
	return v.OnVerdict(out)
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

// Sample verifies n accounts at random, drawn from the read model and from the
// stream in turn, and their tiers; all where there are not so many.
func (v *Verifier) Sample(ctx context.Context, n int) error {
	total := 0
	few := errors.New("enough")
	err := admin.EachAccount(ctx, v.Pool, func(events.UUID) error {
		if total++; total > n {
			return few
		}
		return nil
	})
	if err == nil {
		return v.All(ctx)
	}
	if !errors.Is(err, few) {
		return err
	}
	drawn := map[events.UUID]bool{}
	for tries := 0; len(drawn) < n && tries < 20*n; tries++ {
		id, found, err := v.draw(ctx, tries)
		if err != nil {
			return err
		}
		if found {
			drawn[id] = true
		}
	}
	ids := make([]events.UUID, 0, len(drawn))
	for id := range drawn {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, compareIDs)
	info, err := v.Stream.Info(ctx)
	if err != nil {
		return err
	}
	if info.Messages < uint64(len(ids))*messagesAnAccount {
		if err := v.pass(ctx, ids, nil); err != nil {
			return err
		}
	} else {
		for _, id := range ids {
			out, err := v.VerifyTwice(ctx, id)
			if err == nil {
				err = v.tell(out)
			}
			if err != nil {
				return err
			}
		}
	}
	if err := v.tiers(ctx, false); err != nil {
		return err
	}
	return v.looked()
}

// draw draws an account, from the read model or from the stream.
func (t Target) draw(ctx context.Context, turn int) (id events.UUID, found bool, err error) {
	if turn%2 == 0 {
		return admin.RandomAccount(ctx, t.Pool)
	}
	return t.Stream.RandomAccount(ctx)
}

// looked fails where nothing was looked at.
func (v *Verifier) looked() error {
	if v.Accounts+v.Tiers == 0 {
		return fmt.Errorf("%w: neither the stream, up to the checkpoints, nor the read model holds an account", ErrNothingCompared)
	}
	return nil
}

// VerifyTwice is [Verifier.Verify], where a difference is one that is found twice: an
// erasure may have removed messages between the two readings of one look.
func (v *Verifier) VerifyTwice(ctx context.Context, id events.UUID) (Verdict, error) {
	out, err := v.Verify(ctx, id)
	if err != nil || out.Same() {
		return out, err
	}
	return v.Verify(ctx, id)
}

// Verify holds one account, as it is stored now, against the fold of its
// messages up to the checkpoint of its partition.
func (v *Verifier) Verify(ctx context.Context, id events.UUID) (Verdict, error) {
	out := Verdict{Account: id.String(), Differences: []string{}}
	h, err := admin.ReadStored(ctx, v.Pool, []events.UUID{id})
	if err != nil {
		return out, err
	}
	stored, there := h.Accounts[id]
	if err := v.Limit.stored(ctx, stored.Bytes); err != nil {
		return out, err
	}
	f, err := v.foldAccount(ctx, id, &h, v.Limit)
	defer f.close()
	if err != nil {
		return out, err
	}
	if err := v.name(f); err != nil {
		return out, err
	}
	position := f.state.Position()
	erased := f.state.State(nil) == projections.Erased
	sum, err := f.sum()
	if err != nil {
		return out, err
	}
	out.Position, out.Folded = stored.Position, position
	out.Due = stored.Parked > 0 && stored.Minor < projections.VersionMinor
	if same(stored, there, sum, f.facts) {
		return out, v.note(ctx, map[events.UUID]admin.Sum{id: sum}, h)
	}
	out.Less = sum.Position < stored.Position || stored.Recorded.Messages > sum.Messages
	switch {
	case !there && sum.Messages == 0:
		return out, nil
	case !there:
		out.Differences = append(out.Differences, fmt.Sprintf("lost: the stream holds %d messages of it up to %d, and nothing is stored", f.messages, position))
	case sum.Messages == 0:
		out.Differences = append(out.Differences, "stored, and the stream holds no message of it")
	case stored.Erased != erased:
		out.Differences = append(out.Differences, fmt.Sprintf("state: stored %s, folded %s", erasedOrNot(stored.Erased), erasedOrNot(erased)))
		out.Less = out.Less || !erased
	default:
		out.Differences, err = v.explain(ctx, id, stored, sum, f.facts, &h)
	}
	return out, err
}

// same tells whether all that is stored is what the fold has come to, and the
// row says so, or nothing.
func same(stored admin.StoredAccount, there bool, sum admin.Sum, facts admin.Facts) bool {
	return there && stored.Position == sum.Position && stored.Digest == sum.Digest &&
		(stored.Recorded.Messages == 0 || stored.Recorded == sum) && (stored.Erased || stored.Facts == facts)
}

// note has rows that say nothing of what went into them say it, where they are
// right.
func (v *Verifier) note(ctx context.Context, right map[events.UUID]admin.Sum, h admin.StoredAccounts) error {
	silent := map[events.UUID]admin.Sum{}
	for id, sum := range right {
		if h.Accounts[id].Recorded.Messages == 0 {
			silent[id] = sum
		}
	}
	if len(silent) == 0 {
		return nil
	}
	return v.noteSums(ctx, silent)
}

// noteSums writes only where [Target.Check] does not refuse the stream, which is
// asked after it was read.
func (v *Verifier) noteSums(ctx context.Context, silent map[events.UUID]admin.Sum) error {
	err := v.Check(ctx)
	if IsRefusal(err) {
		return nil
	}
	if err == nil {
		_, err = admin.RecordSums(ctx, v.Pool, silent)
	}
	return err
}
