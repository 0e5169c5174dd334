package console

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"accountexport/events"
	"accountexport/internal/acts"
	"accountexport/readmodel"
	"accountexport/readmodel/admin"
)

// withRebuilder does something with a rebuild that is ready, as the projector's commands
// do, and gives back what it holds.
func (c *Console) withRebuilder(ctx context.Context, j *job, command string, do func(context.Context, *acts.Rebuilder) error) error {
	on, err := c.on()
	if err != nil {
		return err
	}
	r, done, err := c.cfg.Rebuilder(ctx, on, command)
	if err != nil {
		return err
	}
	defer done()
	defer r.Close(ctx)
	live := int64(0)
	r.OnProgress = j.at
	r.OnReplay = func(erasures []admin.Erasure, served []events.UUID) {
		j.step("%d erasures on the ledger are not done in the stream and in this database: they are carried out again. %d of their accounts are served.",
			len(erasures), len(served))
	}
	r.OnReplayed = func(erasures int) { j.step("%d erasures were carried out again.", erasures) }
	r.OnCutover = func(from, to int64) {
		live = to
		j.step("Generation %d is live.", to)
		j.conclude(nil, "Generation %d is live; generation %d is kept until `projector generations drop %[2]d`.", to, from)
	}
	waits, err := r.Ready(ctx)
	if err != nil {
		return err
	}
	if waits {
		j.step("A rebuild, cut-over or roll-back is running elsewhere: this one goes on when that has ended. It can be ended meanwhile.")
	}
	err = do(ctx, r)
	switch {
	case err != nil && live != 0: // what comes after a cut-over does not undo it
		return fmt.Errorf("generation %d is live, and then: %w", live, err)
	case err != nil && errors.Is(context.Cause(ctx), errEndedByHand):
		if command == "rollback" {
			return errors.New("it was ended by hand: the live generation is untouched, and the other one is retired as it was")
		}
		return errors.New("it was ended by hand: the live generation is untouched. What was built stays, and the next rebuild, here or by `projector rebuild`, goes on from there")
	}
	return err
}

// rebuild builds a generation and compares it with the live one.
func (c *Console) rebuild(ctx context.Context, j *job, r *acts.Rebuilder, rate int, restart bool) error {
	r.MaxRate, r.Restart = rate, restart
	if err := r.Begin(ctx); err != nil {
		return err
	}
	j.step("Folding the stream from its start, beside generation %d, which is served and kept current meanwhile.", r.Live.Number)
	if err := r.Build(ctx); err != nil {
		return err
	}
	j.step("Generation %d is near the end of the stream.", r.Generation)
	v, _, err := c.judge(ctx, j, r)
	if err != nil {
		return err
	}
	if v.Refused == "" {
		j.conclude(v, "Generation %d is built. Its cut-over, here or by `projector cutover`, makes it live.", r.Generation)
	} else {
		j.conclude(v, "Generation %d is built, and differs from generation %d: look at how, before it is cut over to.", r.Generation, v.Live)
	}
	return nil
}

// compare compares the generation that was built with the live one.
func (c *Console) compare(ctx context.Context, j *job, r *acts.Rebuilder, number int64) error {
	v, _, err := c.judgeBuilt(ctx, j, r, number)
	if err != nil {
		return err
	}
	if v.Refused == "" {
		j.conclude(v, "Nothing keeps generation %d from being cut over to.", number)
	} else {
		j.conclude(v, "Generation %d differs from generation %d.", number, v.Live)
	}
	return nil
}

// judgeBuilt finds the generation that was built, which has to be the one that is meant,
// and judges it.
func (c *Console) judgeBuilt(ctx context.Context, j *job, r *acts.Rebuilder, number int64) (*comparisonView, acts.Comparison, error) {
	if err := r.FindBuilt(ctx); err != nil {
		return nil, acts.Comparison{}, err
	}
	if r.Generation != number {
		return nil, acts.Comparison{}, conflict(fmt.Sprintf("Generation %d is being built, and not %d", r.Generation, number), "Nothing was changed. Look at the generations anew.")
	}
	return c.judge(ctx, j, r)
}

// judge compares, and says what keeps the generation from being cut over to unless that
// is accepted.
func (c *Console) judge(ctx context.Context, j *job, r *acts.Rebuilder) (*comparisonView, acts.Comparison, error) {
	j.step("Generation %d is brought to the end of the stream, and compared with generation %d.", r.Generation, r.Live.Number)
	found, err := r.Compare(ctx)
	if err != nil {
		return nil, found, err
	}
	v := comparisonOf(found)
	v.Job, v.MayAct = j.ID, c.cfg.AllowActs
	if why := r.Unexplained(found); why != "" {
		v.Refused = fmt.Sprintf("Generations %d and %d differ %s.", v.Live, v.Generation, why)
	}
	return v, found, nil
}

// cutOver makes the generation live, after it was compared anew: a comparison that was
// shown before says what somebody has accepted, and not how things are.
func (c *Console) cutOver(ctx context.Context, j *job, r *acts.Rebuilder, number int64, accepted *comparisonView) error {
	v, found, err := c.judgeBuilt(ctx, j, r, number)
	if err != nil {
		return err
	}
	if v.Refused != "" && accepted == nil {
		j.conclude(v, "")
		return conflict(fmt.Sprintf("Nothing was cut over: generation %d differs from generation %d", number, v.Live), "How they differ, and what accepting that costs, is said with this act, and there it can be accepted.")
	}
	if r.Accept = v.Refused != ""; r.Accept { // what needs no acceptance gets none: that lets positions go back
		if more := v.moreThan(accepted); more != "" {
			j.conclude(v, "")
			return conflict("Nothing was cut over: the generations differ by more than was accepted", "%s. Look at the differences anew, and accept those.", more)
		}
	}
	if _, err := r.Decide(found); err != nil { // also where no account is left
		j.conclude(v, "")
		return err
	}
	return r.CutOver(ctx)
}

func (c *Console) rollBack(ctx context.Context, j *job, r *acts.Rebuilder, number int64) error {
	found := c.readGenerations(ctx)
	if found.err != nil {
		return found.err
	}
	if to := lastRetired(found.all); to != number {
		return conflict(fmt.Sprintf("A roll-back goes to generation %d by now", to), "Nothing was changed. Look at the generations anew.")
	}
	j.step("Generation %d is brought to the end of the stream.", number)
	return r.RollBack(ctx)
}

func (c *Console) prepareDrop(given url.Values) (*prepared, error) {
	ctx, cancel := context.WithTimeout(context.Background(), lookTimeout)
	defer cancel()
	found := c.readGenerations(ctx)
	if found.err != nil {
		return nil, found.err
	}
	g, err := found.find(given)
	if err != nil {
		return nil, err
	}
	switch {
	case g.State == readmodel.StateLive:
		return nil, conflict(fmt.Sprintf("Generation %d is live", g.Number), "What is served cannot be dropped. Cut over to another one first.")
	case g.State == readmodel.StateBuilding && found.running:
		return nil, conflict(fmt.Sprintf("Generation %d is being written", g.Number), "A rebuild, cut-over or roll-back is running. End that first; then it can be dropped.")
	}
	if err := confirmed(given, g.Number, fmt.Sprintf("drop generation %d with its tables", g.Number)); err != nil {
		return nil, err
	}
	name := fmt.Sprintf("generation %d", g.Number)
	return &prepared{title: "Drop " + name, key: acts.GenerationDrop + " " + name, detail: name, back: "/generations", do: func(ctx context.Context, j *job) error {
		if err := admin.Drop(ctx, c.cfg.Pool, g.Number); err != nil {
			return err
		}
		j.conclude(nil, "Generation %d is dropped, with its tables.", g.Number)
		return nil
	}}, nil
}

// errEndedByHand is why the context of an act has ended that somebody has ended.
var errEndedByHand = errors.New("ended by hand")

// prepareEnd ends a rebuild, comparison, cut-over or roll-back of this console.
func (c *Console) prepareEnd(given url.Values) (*prepared, error) {
	id, err := field(given, "job", "the act that is to end")
	if err != nil {
		return nil, err
	}
	ended := c.jobs.find(id)
	if ended == nil || !ended.mayEnd || ended.over() {
		return nil, conflict("It has ended already", "There is nothing to end.")
	}
	return &prepared{title: "End: " + ended.Title, key: "end " + id, detail: "ended by hand", do: func(ctx context.Context, j *job) error {
		ended.step("It is ended by %s.", j.User)
		ended.cancel(errEndedByHand)
		select {
		case <-ended.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		if ended.view().Failed == "" {
			j.conclude(nil, "It had done its work by then.")
		} else {
			j.conclude(nil, "It is ended, and the live generation is untouched.")
		}
		return nil
	}}, nil
}
