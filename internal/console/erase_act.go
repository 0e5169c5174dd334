package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gorilla/mux"

	"accountexport/events"
	"accountexport/internal/acts"
	"accountexport/readmodel"
)

// erasureActs are the acts of erasing.
func erasureActs() []act { return []act{erasePlanAct(), eraseAct()} }

// planResult is what an erasure would do.
type planResult struct {
	*acts.Plan
	MayAct bool `json:"-"`
}

// eraseResult is what an erasure has come to.
type eraseResult struct {
	Receipt *acts.Receipt `json:"receipt"`
	Digest  string        `json:"digest"` // of the receipt; on the ledger where nothing is left
	Left    string        `json:"left"`   // what keeps it from being complete; empty: nothing
	Words   []factView    `json:"-"`
	JSON    string        `json:"-"`
	Job     string        `json:"-"` // the act, whose receipt can be downloaded
}

// erasePlanAct says what an erasure would do, as `projector erase --dry-run` does.
func erasePlanAct() act {
	return act{name: "erase-plan", what: acts.AccountErasePlan, look: true, prepare: func(c *Console, given url.Values) (*prepared, error) {
		e, err := c.eraser(given)
		if err != nil {
			return nil, err
		}
		return &prepared{title: "What erasing account " + e.Account.String() + " would remove", account: &e.Account, do: func(ctx context.Context, j *job) error {
			known, err := inspect(ctx, j, e)
			if err != nil {
				return err
			}
			if !known {
				j.conclude(nil, "Account %s was never heard of: there is nothing to erase%s.", e.Account,
					auditNamesIt(e.Rows.Audited, "line of the audit names it, and would no longer", "lines of the audit name it, and would no longer"))
				return nil
			}
			j.step("Search all of the stream for what would be removed")
			plan, err := e.Plan(ctx)
			if err != nil {
				return err
			}
			j.conclude(planResult{plan, c.cfg.AllowActs}, "Nothing was changed. `projector erase --account %s` erases the account.", e.Account)
			return nil
		}}, nil
	}}
}

// eraseAct erases an account, as `projector erase` does. Whoever asks has to type the
// account's id, which is judged here.
func eraseAct() act {
	return act{name: "erase", what: acts.AccountErase, prepare: func(c *Console, given url.Values) (*prepared, error) {
		e, err := c.eraser(given)
		if err != nil {
			return nil, err
		}
		if typed := strings.ToLower(strings.TrimSpace(given.Get("confirm"))); typed != e.Account.String() {
			return nil, badRequest("Not confirmed", "What is erased is gone for ever: the account's id has to be typed in, %s. Nothing was changed.", e.Account)
		}
		p := &prepared{title: "Erase account " + e.Account.String(), account: &e.Account}
		if n := len(e.PurgeCopies); n > 0 {
			p.detail = fmt.Sprintf("and from %d copies", n)
			p.title += ", and from " + strings.Join(e.PurgeCopies, ", ")
		}
		p.do = func(ctx context.Context, j *job) error { return c.erase(ctx, j, e) }
		return p, nil
	}}
}

// eraser is an erasure as a form asks for it. A copy's box sends its name as copy; a list
// of names with commas, as the command takes it, comes as copies.
func (c *Console) eraser(given url.Values) (*acts.Eraser, error) {
	text, err := field(given, "account", "the UUID of the account")
	if err != nil {
		return nil, err
	}
	account, err := parseAccount(text)
	if err != nil {
		return nil, err
	}
	on, err := c.on()
	if err != nil {
		return nil, err
	}
	names := slices.Clone(given["copy"])
	if list := given.Get("copies"); list != "" {
		names = append(names, strings.Split(list, ",")...)
	}
	for _, name := range names {
		if name == "" || strings.ContainsAny(name, " \t\r\n.*>/\\") || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return nil, badRequest("That is no name of a stream", "Copies are named as the page lists them; a name holds no blank, dot, star, slash or backslash.")
		}
	}
	slices.Sort(names)
	return &acts.Eraser{Target: on, Account: account, PurgeCopies: slices.Compact(names), Takeover: c.cfg.Takeover}, nil
}

// inspect is what comes before a plan and before an erasure: everything that can be
// judged before anything is changed. known is false where nobody has heard of the account.
func inspect(ctx context.Context, j *job, e *acts.Eraser) (known bool, err error) {
	j.step("Check that this stream is the one that was folded")
	// Another stream holds other messages of the account, or none.
	if err := e.Check(ctx); err != nil && !errors.Is(err, readmodel.ErrNoGeneration) {
		return false, fmt.Errorf("account %s cannot be erased: %w", e.Account, err)
	}
	j.step("Look for the account in the stream, the tables and the ledger")
	if known, err = e.Inspect(ctx); err != nil {
		return false, err
	}
	if !known {
		return false, nil
	}
	j.step("Test everything that would keep it from being erased")
	return true, e.Preflight(ctx)
}

// erase erases. The console itself forgets the account as well, however the erasure ends
// from where it is begun on.
func (c *Console) erase(ctx context.Context, j *job, e *acts.Eraser) error {
	known, err := inspect(ctx, j, e)
	if err != nil {
		return err
	}
	defer c.forgetAccount(e.Account, j)
	if !known {
		lines, err := e.ForgetLooks(ctx) // whoever has looked for it has left lines that name it
		if err != nil {
			return err
		}
		j.conclude(nil, "Account %s was never heard of: there is nothing to erase%s.", e.Account,
			auditNamesIt(lines, "line of the audit no longer names it", "lines of the audit no longer name it"))
		return nil
	}
	e.OnStep = func(what string) { j.step("%s", strings.ToUpper(what[:1])+what[1:]) }
	e.OnWait = func(generation int64, position, erased uint64) {
		j.step("Generation %d is at %d, and has to reach %d", generation, position, erased)
	}
	r, err := e.Run(ctx)
	if err != nil {
		return err
	}
	b, err := r.JSON()
	if err != nil {
		return err
	}
	digest, err := acts.ReceiptDigest(b)
	if err != nil {
		return err
	}
	result := eraseResult{Receipt: r, Digest: digest, Words: receiptWords(r), JSON: string(b), Job: j.ID}
	left := r.Incomplete()
	if left != nil {
		result.Left = left.Error()
		j.conclude(result, "Account %s is not erased completely; what is left, and what to do, stands above.", e.Account)
	} else {
		j.conclude(result, "Account %s is erased, and that is proven: keep the receipt. `projector erasures list` shows its digest.", e.Account)
	}
	return left
}

// auditNamesIt says what of the audit an account that nobody knows leaves.
func auditNamesIt(lines int64, one, many string) string {
	if lines == 0 {
		return ""
	}
	return "; " + plural(lines, one, many)
}

// receiptFile is the receipt of an erasure, as `projector erase --json` prints it: to the
// byte, since the ledger holds the digest of these bytes.
func (c *Console) receiptFile(w http.ResponseWriter, r *http.Request) {
	j := c.jobs.find(mux.Vars(r)["job"])
	var result eraseResult
	if j != nil {
		if err := c.lookAtJob(r.Context(), userOf(r), j); err != nil {
			c.fail(w, r, err)
			return
		}
		result, _ = j.view().Result.(eraseResult)
	}
	if result.Receipt == nil {
		c.fail(w, r, notThere("There is no such receipt", "An erasure that has ended has one, until the console is started again."))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Disposition", fmt.Sprintf(`attachment; filename="receipt-%s.json"`, result.Receipt.Account))
	_, _ = w.Write([]byte(result.JSON)) // whoever asked has gone
}

// forgetAccount has the console's own memory forget an account that is erased: what was
// registered with onForget, and acts about it other than erasures of it.
func (c *Console) forgetAccount(account events.UUID, but *job) {
	for _, forget := range c.forgetters {
		forget(account)
	}
	c.jobs.forget(account, but)
}

// onForget registers what forgets an account. It is called before Run.
func (c *Console) onForget(forget func(events.UUID)) { c.forgetters = append(c.forgetters, forget) }
