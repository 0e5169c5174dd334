package console

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"accountexport/internal/acts"
	"accountexport/readmodel"
	"accountexport/readmodel/admin"
)

// rebuildKey is of everything that builds, compares, cuts over or rolls back: one at a time.
const rebuildKey = "rebuild"

// generationActs are the acts on generations.
func generationActs() []act {
	return []act{
		{name: "rebuild", what: acts.Rebuild, prepare: (*Console).prepareRebuild},
		{name: "compare", what: acts.Rebuild, prepare: (*Console).prepareCompare},
		{name: "cutover", what: acts.Cutover, prepare: (*Console).prepareCutover},
		{name: "rollback", what: acts.Rollback, prepare: (*Console).prepareRollback},
		{name: "generation-drop", what: acts.GenerationDrop, prepare: (*Console).prepareDrop},
		{name: "rebuild-end", what: acts.Rebuild, prepare: (*Console).prepareEnd},
	}
}

// conflict is an act that cannot be done as things are.
func conflict(title, format string, args ...any) error {
	return &failure{Status: http.StatusConflict, Type: "conflict", Title: title, Detail: fmt.Sprintf(format, args...)}
}

// judgeGenerations is what all of these acts need: that generations can be changed at all,
// that projecting is not paused, and that this console does nothing else with them. It
// gives what generations there are.
func (c *Console) judgeGenerations(title string) (f generationsFound, err error) {
	if _, err := c.on(); err != nil {
		return f, err
	}
	if c.cfg.Rebuilder == nil {
		return f, conflict("This console cannot change generations", "`projector rebuild`, `projector cutover` and `projector rollback` do.")
	}
	if j := c.jobs.runs(rebuildKey); j != nil && j.Title != title {
		return f, conflict("Something else is running: "+j.Title, "One of rebuild, comparison, cut-over and roll-back is done at a time. Wait for it, or end it; its page is /jobs/%s.", j.ID)
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookTimeout)
	defer cancel()
	if err := readmodel.CheckPaused(ctx, c.cfg.Pool); err != nil {
		return f, err
	}
	f = c.readGenerations(ctx)
	return f, f.err
}

// find is a generation that has a state; why says why one of another state will not do.
func (f *generationsFound) find(given url.Values) (g admin.GenerationStatus, err error) {
	text, err := field(given, "generation", "the number of a generation")
	if err != nil {
		return g, err
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return g, badRequest("That is no number of a generation", "It has to be one of those on the page of generations.")
	}
	for _, g := range f.all {
		if g.Number == n {
			return g, nil
		}
	}
	return g, notThere(fmt.Sprintf("There is no generation %d", n), "It was dropped, or never was. `projector generations list` lists those that are there.")
}

// confirmed judges that the number of the generation was typed.
func confirmed(given url.Values, number int64, what string) error {
	if typed := strings.TrimSpace(given.Get("confirm")); typed != strconv.FormatInt(number, 10) {
		return badRequest("Nothing was changed: it was not confirmed", "To %s, type its number, %d.", what, number)
	}
	return nil
}

func (c *Console) prepareRebuild(given url.Values) (*prepared, error) {
	const title = "Rebuild into a new generation"
	found, err := c.judgeGenerations(title)
	if err != nil {
		return nil, err
	}
	rate := 0
	if text := strings.TrimSpace(given.Get("max_rate")); text != "" {
		if rate, err = strconv.Atoi(text); err != nil || rate < 0 || rate > math.MaxInt32 {
			return nil, badRequest("max_rate is not right", "It has to be a whole number of messages a second, or nothing for no limit.")
		}
	}
	restart := given.Get("restart") != ""
	p := &prepared{title: title, key: rebuildKey, mayEnd: true}
	for _, g := range found.all {
		switch {
		case g.State == readmodel.StateLive && p.detail == "":
			p.detail = fmt.Sprintf("a new generation beside generation %d", g.Number)
		case g.State == readmodel.StateBuilding && !g.RollingBack() && !restart:
			p.detail = fmt.Sprintf("generation %d", g.Number)
		}
	}
	if p.detail == "" {
		return nil, readmodel.ErrNoGeneration
	}
	if restart {
		p.detail += ", begun anew"
	}
	p.do = func(ctx context.Context, j *job) error {
		return c.withRebuilder(ctx, j, "rebuild", func(ctx context.Context, r *acts.Rebuilder) error { return c.rebuild(ctx, j, r, rate, restart) })
	}
	return p, nil
}

func (c *Console) prepareCompare(given url.Values) (*prepared, error) {
	n := strings.TrimSpace(given.Get("generation"))
	title := "Compare generation " + n + " with the live one"
	found, err := c.judgeGenerations(title)
	if err != nil {
		return nil, err
	}
	g, err := found.findBuilt(given)
	if err != nil {
		return nil, err
	}
	return &prepared{title: title, key: rebuildKey, mayEnd: true, detail: fmt.Sprintf("generation %d, compared", g.Number),
		do: func(ctx context.Context, j *job) error {
			return c.withRebuilder(ctx, j, "cutover", func(ctx context.Context, r *acts.Rebuilder) error { return c.compare(ctx, j, r, g.Number) })
		}}, nil
}

func (c *Console) prepareCutover(given url.Values) (*prepared, error) {
	n := strings.TrimSpace(given.Get("generation"))
	title := "Cut over to generation " + n
	found, err := c.judgeGenerations(title)
	if err != nil {
		return nil, err
	}
	g, err := found.findBuilt(given)
	if err != nil {
		return nil, err
	}
	if err := confirmed(given, g.Number, fmt.Sprintf("make generation %d the live one", g.Number)); err != nil {
		return nil, err
	}
	var accepted *comparisonView
	if given.Get("accept") != "" {
		if accepted, err = c.comparisonOf(given.Get("comparison"), g.Number); err != nil {
			return nil, err
		}
	}
	detail := fmt.Sprintf("generation %d", g.Number)
	if accepted != nil {
		detail += ", differences accepted"
	}
	return &prepared{title: title, key: rebuildKey, mayEnd: true, detail: detail,
		do: func(ctx context.Context, j *job) error {
			return c.withRebuilder(ctx, j, "cutover", func(ctx context.Context, r *acts.Rebuilder) error {
				return c.cutOver(ctx, j, r, g.Number, accepted)
			})
		}}, nil
}

// findBuilt is a generation that can be compared, and cut over to.
func (f *generationsFound) findBuilt(given url.Values) (g admin.GenerationStatus, err error) {
	g, err = f.find(given)
	switch {
	case err != nil:
		return g, err
	case g.State == readmodel.StateLive:
		return g, conflict(fmt.Sprintf("Generation %d is live already", g.Number), "There is nothing to cut over to.")
	case g.RollingBack(), g.State == readmodel.StateRetired:
		return g, conflict(fmt.Sprintf("Generation %d is retired", g.Number), "A roll-back makes it live: `projector rollback`.")
	case g.State == readmodel.StateFailed:
		return g, conflict(fmt.Sprintf("Generation %d was given up", g.Number), "`projector rebuild` makes another one.")
	}
	return g, nil
}

func (c *Console) prepareRollback(given url.Values) (*prepared, error) {
	n := strings.TrimSpace(given.Get("generation"))
	title := "Roll back to generation " + n
	found, err := c.judgeGenerations(title)
	if err != nil {
		return nil, err
	}
	g, err := found.find(given)
	if err != nil {
		return nil, err
	}
	switch to := lastRetired(found.all); {
	case to == 0:
		return nil, conflict("No generation is retired", "There is none to go back to.")
	case to != g.Number:
		return nil, conflict(fmt.Sprintf("A roll-back goes to generation %d", to), "That is the one that was live last, and generation %d is not.", g.Number)
	}
	if err := confirmed(given, g.Number, fmt.Sprintf("go back to generation %d", g.Number)); err != nil {
		return nil, err
	}
	return &prepared{title: title, key: rebuildKey, mayEnd: true, detail: fmt.Sprintf("generation %d", g.Number),
		do: func(ctx context.Context, j *job) error {
			return c.withRebuilder(ctx, j, "rollback", func(ctx context.Context, r *acts.Rebuilder) error { return c.rollBack(ctx, j, r, g.Number) })
		}}, nil
}
