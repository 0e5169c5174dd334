package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"accountexport/events"
	"accountexport/internal/acts"
	"accountexport/internal/cli"
	"accountexport/projections"
	"accountexport/readmodel"
	"accountexport/readmodel/admin"
)

// parkedActs are the acts on parked messages. Each is of one of these:
//
//   - position: one message;
//   - a filter, with count, the number that was confirmed, where that is more than one;
//   - undo, the act whose changes are to be taken back, with count.
//
// What is meant is selected before the act is begun, and it changes exactly that.
func parkedActs() []act {
	return []act{
		{name: "parked-retry", what: acts.ParkedRetry, prepare: func(c *Console, given url.Values) (*prepared, error) {
			return c.prepareParked(given, "retry", c.retryParked)
		}},
		{name: "parked-dismiss", what: acts.ParkedDismiss, prepare: func(c *Console, given url.Values) (*prepared, error) {
			return c.prepareParked(given, "dismiss", c.dismissParked)
		}},
		{name: "parked-undismiss", what: acts.ParkedUndismiss, prepare: func(c *Console, given url.Values) (*prepared, error) {
			return c.prepareParked(given, "undismiss", c.undismissParked)
		}},
	}
}

// mostNote is how many characters a note has at most.
const mostNote = 1000

// selectTimeout is how long what is meant is looked for.
const selectTimeout = 30 * time.Second

// parkedOrder is an act that was judged.
type parkedOrder struct {
	selection  acts.ParkedSelection
	position   uint64 // 0 unless it is of one message
	note       string
	concerned  int64
	undoByHand string // the command that takes it back, for whoever has no page
	back       string // the page that shows what has become of it; empty: the one that it was asked for on
}

// prepareParked judges what was asked for, and selects what is meant.
func (c *Console) prepareParked(given url.Values, name string, do func(context.Context, *job, *parkedOrder) error) (*prepared, error) {
	if _, err := c.on(); err != nil {
		return nil, err
	}
	words, _ := parkedWordsOf(name)
	o := &parkedOrder{}
	var err error
	if words.note != "" {
		if o.note, err = readNote(given, words.note); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), selectTimeout)
	defer cancel()
	if err := c.selectMeant(ctx, given, o); err != nil {
		return nil, err
	}
	account := ofOneAccount(o.selection.Messages)
	dismissed := int64(o.selection.Dismissed())
	o.concerned = words.concerns(int64(len(o.selection.Messages)), dismissed)
	if err := orderConfirmed(given, o); err != nil {
		return nil, err
	}
	first, last := o.selection.Messages[0].Position, o.selection.Messages[len(o.selection.Messages)-1].Position
	title := words.button(o.concerned)
	detail := fmt.Sprintf("%s, positions %d to %d", plainCount(o.concerned), first, last)
	if o.position > 0 {
		title, detail = fmt.Sprintf(words.verb, fmt.Sprintf("message %d", o.position)), fmt.Sprintf("position %d", o.position)
	}
	return &prepared{title: title, account: account, detail: detail, key: fmt.Sprint(name, " ", given.Encode()), back: o.back,
		do: func(ctx context.Context, j *job) error {
			defer c.parked.forget()
			return do(ctx, j, o)
		}}, nil
}

func plainCount(n int64) string {
	if n == 1 {
		return "1 message"
	}
	return fmt.Sprintf("%d messages", n)
}

// readNote reads a note by the rules of --note.
func readNote(given url.Values, right string) (string, error) {
	if _, err := field(given, "note", "a text that says "+right); err != nil {
		return "", err
	}
	return optionalNote(given)
}

// optionalNote is a note that may be empty.
func optionalNote(given url.Values) (string, error) {
	note := strings.TrimSpace(given.Get("note"))
	if note == "" {
		return "", nil
	}
	if _, err := cli.Text("TEXT", "").Parse(note); err != nil || utf8.RuneCountInString(note) > mostNote {
		return "", badRequest("note is not right", "It has to be a text of at most %d characters.", mostNote)
	}
	return note, nil
}

// ofOneAccount is whose messages they all are; nil where they are of several, or of nobody.
func ofOneAccount(messages []admin.SelectedMessage) *events.UUID {
	first := messages[0].Account
	for _, m := range messages {
		if first == nil || m.Account == nil || *m.Account != *first {
			return nil
		}
	}
	return first
}

// selectMeant selects the messages that are meant.
func (c *Console) selectMeant(ctx context.Context, given url.Values, o *parkedOrder) error {
	o.selection.Pool = c.cfg.Pool
	if id := given.Get("undo"); id != "" {
		return c.selectChanged(id, o)
	}
	f, err := readParkedFilter(given)
	if err != nil {
		return err
	}
	f.Dismissed = false
	switch v := given.Get("position"); {
	case v != "" && f.selects():
		return badRequest("position and a filter are given", "It has to be one or the other.")
	case v != "":
		if o.position, err = parsePosition(v); err != nil {
			return badRequest("position is not right", "It has to be a position of the stream, such as 1234.")
		}
		f.From, f.To = o.position, o.position
	case !f.selects():
		return badRequest("Which messages are meant is missing", "It has to be position, one or more of account, type, reason, since, from and to, or undo.")
	}
	if o.position == 0 {
		o.back = parkedLink(&f, 0)
	}
	o.selection.Filter, o.undoByHand = f.ParkedFilter, f.command("undismiss", noteFlag)
	err = o.selection.Select(ctx)
	var none *acts.NoneParked
	switch {
	case errors.As(err, &none) && o.position > 0:
		return notParked(o.position, readmodel.ErrNotFound)
	case errors.As(err, &none):
		return noneParked(&f)
	case err != nil:
		return err
	}
	return nil
}

// selectChanged selects what an act of before has changed.
func (c *Console) selectChanged(id string, o *parkedOrder) error {
	if j := c.jobs.find(id); j != nil {
		if r, ok := j.view().Result.(*parkedResult); ok && len(r.changed.Messages) > 0 {
			o.selection.ParkedSelection = r.changed
			o.selection.Messages = slices.Clone(r.changed.Messages)
			for i := range o.selection.Messages { // as that act has left them, and not as it has found them
				o.selection.Messages[i].Dismissed = r.Undo == "parked-undismiss"
			}
			return nil
		}
	}
	return notThere("What is to be undone is not known any more", "The console remembers the last %d acts, until it is started again. "+
		"Select the messages by a filter, on the page Parked.", mostJobs)
}

// orderConfirmed tells whether as many were confirmed as are meant. Fewer than that have become
// meant by somebody else, and are no surprise.
func orderConfirmed(given url.Values, o *parkedOrder) error {
	v := strings.TrimSpace(given.Get("count"))
	if v == "" {
		if len(o.selection.Messages) == 1 {
			return nil
		}
		return &failure{Status: http.StatusConflict, Type: "unconfirmed", Title: fmt.Sprintf("This is of %s", plainCount(o.concerned)),
			Detail: fmt.Sprintf("count has to be that number: so many are confirmed. The page Parked asks for it. Nothing was changed; it would have been %d.", o.concerned)}
	}
	count, err := strconv.ParseInt(v, 10, 64)
	if err != nil || count < 0 {
		return badRequest("count is not right", "It has to be the number of messages that was confirmed.")
	}
	if o.concerned > count {
		return &failure{Status: http.StatusConflict, Type: "more-than-confirmed", Title: fmt.Sprintf("%s confirmed, and this is of %d by now", plainCount(count), o.concerned),
			Detail: "Nothing was changed. Look again, and confirm what there is now."}
	}
	return nil
}

// parkedResult is what an act has come to, with what takes it back.
type parkedResult struct {
	Undo    string `json:"undo"`    // the act that takes it back; empty where nothing can
	Of      string `json:"of"`      // this act
	Count   int    `json:"count"`   // that it would change
	Label   string `json:"label"`   // of its button
	Note    string `json:"note"`    // what its note may look like
	Command string `json:"command"` // that does so for all that was selected; empty where none can be typed
	changed admin.ParkedSelection
}

func (c *Console) dismissParked(ctx context.Context, j *job, o *parkedOrder) error {
	n, err := o.selection.Dismiss(ctx, o.note, o.position > 0)
	return concludeParked(j, o, n, err, "undismiss", "dismissed: they stay on record, and no longer count", "dismissed already")
}

func (c *Console) undismissParked(ctx context.Context, j *job, o *parkedOrder) error {
	n, err := o.selection.Undismiss(ctx, o.note)
	return concludeParked(j, o, n, err, "dismiss", "no longer dismissed, and count again", "not dismissed")
}

// concludeParked says how many have changed, and offers to take that back, also where the
// act was cut off.
func concludeParked(j *job, o *parkedOrder, n int, err error, undo, done, already string) error {
	words, _ := parkedWordsOf(undo)
	var r *parkedResult
	if n > 0 {
		r = &parkedResult{Undo: words.act, Of: j.ID, Count: n, Label: words.button(int64(n)), Note: words.note, changed: o.selection.At(o.selection.Changed)}
		if undo == "undismiss" {
			r.Command = o.undoByHand
		}
	}
	rest := ""
	if k := len(o.selection.Messages) - n; k > 0 {
		rest = fmt.Sprintf(" %s %s.", plural(k, "that is meant was", "that are meant were"), already)
	}
	var result any
	if r != nil {
		result = r
	}
	j.conclude(result, "%d of %d parked messages are %s.%s", n, o.selection.Total, done, rest)
	if err != nil && n > 0 {
		return fmt.Errorf("%w; %d of the messages were done before, and the same again does the rest", err, n)
	}
	return err
}

// parkedRetried is what a retry has come to.
type parkedRetried struct {
	Accounts int `json:"accounts"`
	Tiers    int `json:"tiers"`
	Changed  int `json:"changed"`
	Left     int `json:"left"` // as they were
}

// mostSteps is how many accounts and tiers that changed are named.
const mostSteps = 100

// retryParked refolds the accounts and tiers of the messages, as `projector parked retry`.
func (c *Console) retryParked(ctx context.Context, j *job, o *parkedOrder) error {
	on, err := c.on()
	if err != nil {
		return err
	}
	if err := on.Check(ctx); err != nil {
		return err
	}
	targets := o.selection.RetryTargets()
	all, named := uint64(len(targets.Accounts)), 0
	j.step("Folding %s and %s of %s", plural(len(targets.Accounts), "account", "accounts"), plural(len(targets.Tiers), "tier", "tiers"),
		plural(len(o.selection.Messages), "parked message", "parked messages"))
	f := &acts.Refolder{Target: on,
		OnChanged: func(what string) {
			if named++; named <= mostSteps {
				j.step("%s has changed", what)
			} else if named == mostSteps+1 {
				j.step("and others have")
			}
		},
		OnSkipped: func(what string, why error) { j.step("%s is left as it is: %v", what, why) },
		OnAccount: func(done int) { j.at(uint64(done), all) },
	}
	if err := f.RetryParked(ctx, &o.selection.ParkedSelection); err != nil {
		return err
	}
	tiers := ""
	if f.Tiers > 0 {
		tiers = " and " + plural(f.Tiers, "tier", "tiers")
	}
	advice := ""
	switch {
	case len(targets.Accounts)+len(targets.Tiers) == 0:
		advice = " None of the messages is of an account or a tier, so there is nothing to fold."
	case f.Refolded.Changed == 0 && f.Refolded.Left == 0:
		advice = " This program accepts no more of them than the one that parked them: a newer one may."
	}
	j.conclude(parkedRetried{f.Accounts, f.Tiers, f.Refolded.Changed, f.Refolded.Left}, "%s%s refolded by projection version %d.%d, %d changed.%s",
		plural(f.Accounts, "account", "accounts"), tiers, projections.VersionMajor,
		projections.VersionMinor, f.Refolded.Changed, advice)
	if f.Refolded.Left > 0 {
		return fmt.Errorf("%s could not be refolded, and is as it was", plural(f.Refolded.Left, "account or tier", "accounts or tiers"))
	}
	return nil
}
