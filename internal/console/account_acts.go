package console

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"accountexport/events"
	"accountexport/internal/acts"
	"accountexport/internal/cli"
	"accountexport/readmodel"
)

// accountActs are the acts of an account's screen.
func accountActs() []act { return []act{verifyAct(), refoldAct()} }

// verifyResult is what a verification has compared, and found.
type verifyResult struct {
	Account  string        `json:"account"`
	Same     bool          `json:"same"`
	Verdicts []verdictView `json:"verdicts"` // of the account, and of its tier
	Advice   string        `json:"advice"`
	Refused  string        `json:"refused"` // why `projector run` would refuse the stream; then it is not the stream to mend anything by
}

type verdictView struct {
	What        string   `json:"what"`
	Position    uint64   `json:"position"`
	Folded      uint64   `json:"folded_position"`
	Differences []string `json:"differences"`
}

// judgeAccount is the account that an act is asked for, and what it is done to.
func (c *Console) judgeAccount(given url.Values) (events.UUID, acts.Target, error) {
	account, err := accountOf(given.Get("account"))
	if err != nil {
		return account, acts.Target{}, err
	}
	on, err := c.on()
	return account, on, err
}

// verifyAct compares an account and its tier with the stream, as `projector verify
// --account` does. It is a look: a console that only reads may do it, and then nothing is
// written. One that acts completes rows of an older program that lack what went into
// them, as the command does.
func verifyAct() act {
	return act{name: "verify", what: acts.AccountVerify, look: true, prepare: func(c *Console, given url.Values) (*prepared, error) {
		account, on, err := c.judgeAccount(given)
		if err != nil {
			return nil, err
		}
		return &prepared{title: "Verify account " + account.String(), account: &account, do: func(ctx context.Context, j *job) error {
			result := &verifyResult{Account: account.String(), Verdicts: []verdictView{}}
			j.step("Holding the stream against the read model")
			if err := on.Check(ctx, account); acts.IsRefusal(err) {
				result.Refused = cli.Printable(err.Error())
			} else if err != nil {
				return err
			}
			j.step("Folding the account's messages from the stream, and comparing them with what is stored")
			v := &acts.Verifier{Target: on, WriteNothing: !c.cfg.AllowActs, OnVerdict: func(out acts.Verdict) error {
				result.Verdicts = append(result.Verdicts, verdictOf(out))
				return nil
			}}
			if err := v.Account(ctx, account); err != nil {
				return err
			}
			if result.Same = v.Differ == 0; !result.Same {
				result.Advice = v.Advice()
			}
			j.conclude(result, "%s", result.summary(v.Verified))
			return nil
		}}, nil
	}}
}

func verdictOf(out acts.Verdict) verdictView {
	v := verdictView{"account " + out.Account, out.Position, out.Folded, []string{}}
	if out.Tier != "" {
		v.What = "tier " + cli.Printable(out.Tier)
	}
	for _, d := range out.Differences {
		v.Differences = append(v.Differences, withoutValues(d))
	}
	return v
}

// withoutValues is a difference without the bytes around which two sections differ, which
// may be of a value. They are left out whatever privacy: the console remembers what acts
// have come to, and an erasure would not reach that.
func withoutValues(d string) string {
	if at := strings.Index(d, ": stored …"); at >= 0 {
		d = d[:at] + "; `projector verify` prints what stands there"
	}
	d, _ = cutText(d, mostShown)
	return d
}

func (r *verifyResult) summary(n acts.Verified) string {
	switch {
	case r.Same && n.InStream > 0:
		return fmt.Sprintf("The same: %s and %s compared with the stream, and nothing differs.", plural(n.Accounts, "account", "accounts"), plural(n.Tiers, "tier", "tiers"))
	case r.Same:
		return "The same."
	}
	return fmt.Sprintf("%d of %d differ.", n.Differ, n.Accounts+n.Tiers)
}

// refoldAct replaces an account's row with a fold of its messages, as `projector refold
// --account` does, without --accept-loss.
func refoldAct() act {
	return act{name: "refold", what: acts.AccountRefold, prepare: func(c *Console, given url.Values) (*prepared, error) {
		account, on, err := c.judgeAccount(given)
		if err != nil {
			return nil, err
		}
		return &prepared{title: "Refold account " + account.String(), account: &account, do: func(ctx context.Context, j *job) error {
			changed := false
			var left error
			f := &acts.Refolder{Target: on, OnChanged: func(string) { changed = true }, OnSkipped: func(_ string, why error) { left = why }}
			j.step("Folding the account's messages from the stream")
			err := f.Account(ctx, account)
			switch {
			case errors.Is(err, readmodel.ErrNotFound):
				return notThere("Nothing was refolded", "Neither the stream nor the read model knows the account.")
			case err != nil:
				return err
			case left != nil:
				return &failure{Status: 409, Type: "left", Title: "The row is left as it is", Detail: cli.Printable(left.Error()), err: left}
			case changed:
				j.conclude(nil, "The account was refolded, and what is stored of it has changed.")
			default:
				j.conclude(nil, "The account was refolded, and nothing stored of it has changed.")
			}
			return nil
		}}, nil
	}}
}
