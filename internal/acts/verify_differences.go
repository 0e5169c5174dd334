package acts

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"accountexport/events"
	"accountexport/projections"
	"accountexport/readmodel/admin"
	"accountexport/readmodel/export"
)

// explainBytes is how large an account may be for its documents to be compared section
// by section; of a larger one, only the digests are.
const explainBytes = 8 << 20

// explain says, section by section, how the stored account differs from the fold.
func (v *Verifier) explain(ctx context.Context, id events.UUID, stored admin.StoredAccount, sum admin.Sum, facts admin.Facts, h *admin.StoredAccounts) (differences []string, err error) {
	differ := func(format string, args ...any) { differences = append(differences, fmt.Sprintf(format, args...)) }
	if stored.Position != sum.Position {
		differ("position: stored %d, folded %d", stored.Position, sum.Position)
	}
	if was := stored.Facts; was.Tier != facts.Tier {
		differ("tier: the row names %q, folded %q", was.Tier, facts.Tier)
	} else if was.Items = facts.Items; was != facts {
		differ("counts: the row has %d, %d and %d pages and %d that wait, folded %d, %d, %d and %d", was.UsagePages, was.KeyPages, was.SandboxPages,
			was.Waiting, facts.UsagePages, facts.KeyPages, facts.SandboxPages, facts.Waiting)
	}
	if stored.Facts.Items != facts.Items {
		differ("items: the directory of which page each is in differs")
	}
	if stored.Digest == sum.Digest && len(differences) > 0 {
		return differences, nil // everything that these fields lead to is as it should be
	}
	if v.digestOnly || stored.Bytes > explainBytes {
		differ("digest: stored %s, folded %s", stored.Digest, sum.Digest)
		return differences, nil
	}
	fold := projections.NewFold()
	if err := v.Stream.ReadAccount(ctx, id, sum.Position, func(m projections.Message) error {
		if m.Position > h.CheckpointOf(&m) {
			return nil
		}
		_, _, err := fold.Apply(m)
		return err
	}); err != nil {
		return nil, err
	}
	if a := fold.Account(id); a != nil {
		if a.Parked() != stored.Parked {
			differ("parked: stored %d, folded %d", stored.Parked, a.Parked())
		}
		more, err := v.compareDocuments(ctx, id, fold, stored.Position)
		if err != nil {
			return nil, err
		}
		differences = append(differences, more...)
	}
	if says := stored.Recorded; says.Messages > 0 {
		if says.Messages != sum.Messages {
			differ("messages: counted %d, folded %d", says.Messages, sum.Messages)
		}
		if says.Digest != stored.Digest {
			differ("digest: the row says %s, what is stored has %s", says.Digest, stored.Digest)
		}
	}
	if differences == nil {
		differ("what waits or is parked, or the layout of what is stored, differs")
	}
	return differences, nil
}

// compareDocuments compares the document as it is served with that of the fold. Where
// the account has changed meanwhile, it returns nothing.
func (v *Verifier) compareDocuments(ctx context.Context, id events.UUID, fold *projections.Fold, position uint64) ([]string, error) {
	d, err := export.NewReader(v.Pool).Open(ctx, id)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	if d.Position != position {
		return nil, nil
	}
	var body bytes.Buffer
	if d.State == export.Complete {
		if _, err := d.WriteTo(&body); err != nil {
			return nil, fmt.Errorf("account %s: %w", id, err)
		}
	}
	a := fold.Account(id)
	tier, err := a.Tier()
	if err != nil {
		return nil, err
	}
	if events.SoundTier(tier) && d.TierPosition > 0 {
		if err := v.Stream.ReadTier(ctx, tier, d.TierPosition, func(m projections.Message) error {
			_, _, err := fold.Apply(m)
			return err
		}); err != nil {
			return nil, err
		}
	}
	doc, missing, err := fold.Document(id)
	if err != nil {
		return nil, err
	}
	var out []string
	if state, want := stateOf(d.State), a.State(missing).String(); state != want {
		out = append(out, fmt.Sprintf("state: stored %s, folded %s", state, want))
	} else if !slices.Equal(missing, d.Missing) {
		out = append(out, fmt.Sprintf("missing: stored %v, folded %v", d.Missing, missing))
	}
	if !bytes.Equal(body.Bytes(), doc) {
		out = append(out, projections.CompareDocuments(body.Bytes(), doc)...)
	}
	return out, nil
}

func stateOf(s export.State) string {
	return [...]string{"never heard of", "incomplete", "complete", "erased"}[s]
}

func erasedOrNot(erased bool) string {
	if erased {
		return "erased"
	}
	return "not erased"
}
