package acts

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"accountexport/internal/stream"
	"accountexport/projections/engine"
	"accountexport/readmodel/admin"
)

func (a *Acceptor) identity(ctx context.Context, info engine.StreamInfo, refused error, out *Accepted) error {
	unsound := func(why string) error {
		return fmt.Errorf("this cannot be accepted, since the stream does not hold what generation %d was folded from (%s): "+
			"`projector rebuild --accept-differences` is the accepting way: %w", a.live.Number, why, refused)
	}
	identity := a.live.Stream
	identity.Name, identity.Created, identity.ID = info.Name, info.Created, info.ID
	if err := stream.Guard(info, identity, a.lowest, a.highest); err != nil {
		return unsound(fmt.Sprintf("it holds %d to %d, and the checkpoints are from %d to %d, of %d partitions", info.First, info.Last,
			a.lowest, a.highest, a.live.Partitions))
	}
	last, why, err := a.last(ctx)
	compared := 0
	if err == nil && why == "" {
		compared, why, err = a.compare(ctx)
	}
	if err != nil {
		return err
	}
	if why != "" {
		return unsound(why)
	}
	acceptance := Acceptance{What: AcceptStream, Generation: a.live, Info: info, Compared: compared}
	if err := a.propose(acceptance); err != nil {
		return err
	}
	if err := admin.AcceptStream(ctx, a.Pool, a.live, info, last); err != nil {
		return err
	}
	if err := (Gaps{a.Target}).acceptAll(ctx); err != nil {
		return err
	}
	return a.accepted(acceptance, out)
}

// last compares the last message folded of each partition with the one that the stream
// holds at its position, by content, and returns the times that these messages have in
// this stream. A message that was removed says nothing.
func (a *Acceptor) last(ctx context.Context) (at map[int]time.Time, why string, err error) {
	at = map[int]time.Time{}
	for _, c := range a.checkpoints {
		if c.Last.Position == 0 {
			continue
		}
		m, there, err := a.Stream.At(ctx, c.Last.Position)
		switch {
		case err != nil:
			return nil, "", err
		case there && engine.FingerprintOf(&m).Digest != c.Last.Digest:
			return nil, fmt.Sprintf("message %d is not the one that was folded last of partition %d", c.Last.Position, c.Partition), nil
		case there:
			at[c.Partition] = m.Time
		}
	}
	return at, "", nil
}

// maxNamed is how many accounts and tiers the refusal names.
const maxNamed = 10

// compare compares every account and tier of the read model with the stream, and those
// of the stream with the read model. why names those that differ; it is empty where
// none does.
func (a *Acceptor) compare(ctx context.Context) (compared int, why string, err error) {
	var named []string
	v := &Verifier{Target: a.Target, OnVerdict: func(v Verdict) error {
		if !v.Same() && len(named) < maxNamed {
			named = append(named, describeDifference(v))
		}
		return nil
	}}
	if err := v.All(ctx); err != nil && !errors.Is(err, ErrNothingCompared) {
		return 0, "", err
	}
	if v.Differ > len(named) {
		named = append(named, fmt.Sprintf("and %d more", v.Differ-len(named)))
	}
	return v.Accounts, strings.Join(named, "; "), nil
}

// describeDifference says what accepting the stream would do to an account or tier that
// differs.
func describeDifference(v Verdict) string {
	switch {
	case v.Tier != "":
		return fmt.Sprintf("tier %s: %s", v.Tier, v.Differences[0])
	case v.Position == 0:
		return fmt.Sprintf("account %s is in the stream, up to %d, and was never heard of", v.Account, v.Folded)
	case v.Folded == 0:
		return fmt.Sprintf("account %s is at %d, and would be lost", v.Account, v.Position)
	case v.Folded < v.Position:
		return fmt.Sprintf("account %s is at %d, and would go back to %d", v.Account, v.Position, v.Folded)
	case v.Folded > v.Position:
		return fmt.Sprintf("account %s is at %d, and the stream holds a message of it at %d", v.Account, v.Position, v.Folded)
	}
	return fmt.Sprintf("account %s: %s", v.Account, v.Differences[0])
}
