package e2e

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"accountexport/internal/oracle"
	"accountexport/projections"
)

// chaosReport records the faults of a run and how the system recovered from them.
type chaosReport struct {
	seed  uint64
	began time.Time

	mu    sync.Mutex
	lines []string
	kinds map[string]*faultFigures
	errs  []error
}

// faultFigures are the totals of one kind of fault.
type faultFigures struct {
	times           int
	lasted, longest time.Duration // the longest fault, and the longest time without progress
}

func newChaosReport(seed uint64) *chaosReport {
	return &chaosReport{seed: seed, began: time.Now(), kinds: map[string]*faultFigures{}}
}

func (r *chaosReport) add(kind, detail string, began, ended time.Time, longest time.Duration, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.kinds[kind]
	if f == nil {
		f = &faultFigures{}
		r.kinds[kind] = f
	}
	f.times++
	f.lasted, f.longest = max(f.lasted, ended.Sub(began)), max(f.longest, longest)
	line := fmt.Sprintf("%s  %7.2fs–%7.2fs, well again %7.2fs, longest without progress %5.2fs  %s: %s", began.Format("15:04:05.000"),
		began.Sub(r.began).Seconds(), ended.Sub(r.began).Seconds(), time.Since(r.began).Seconds(), longest.Seconds(), kind, detail)
	if err != nil {
		line += fmt.Sprintf("  FAILED: %v", err)
		r.errs = append(r.errs, fmt.Errorf("%s: %w", kind, err))
	}
	r.lines = append(r.lines, line)
}

func (r *chaosReport) failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.errs) > 0
}

// log prints every fault with its times.
func (r *chaosReport) log(t *testing.T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t.Logf("SEED=%d; faults, times since %s:\n%s", r.seed, r.began.Format("15:04:05.000"), strings.Join(r.lines, "\n"))
}

// errorCounter counts the errors that a comparison reports.
type errorCounter struct {
	testing.TB
	n int
}

func (c *errorCounter) Errorf(format string, args ...any) {
	c.TB.Helper()
	c.n++
	c.TB.Errorf(format, args...)
}

// finish stops publishing, waits until everything is projected, compares it with the oracle, and
// prints the totals.
func (a *chaosSystem) finish(t *testing.T, r *chaosReport) {
	for _, err := range r.errs {
		t.Error(err)
	}
	for _, p := range a.replicas {
		p.check(t)
	}
	c := &errorCounter{TB: t}
	if t.Failed() {
		a.end()
		a.reader.reportErrors(c)
		t.FailNow()
	}
	a.publisher.end()
	eventually(t, "everything projected", recoverWithin, a.caughtUp)
	a.end()
	a.reader.reportErrors(c)
	accounts, messages := a.checkAgainstOracle(c)
	served := 0
	seen := map[string]int{}
	a.foldByOracle(c, a.reader.check(c, &served), func(_ *oracle.Fold, m projections.Message) {
		for _, id := range m.Header["Nats-Msg-Id"] {
			seen[id]++
		}
	})
	lost, twice := a.countStored(seen)
	if lost > 0 {
		t.Errorf("NATS lost %d messages that it had acknowledged", lost)
	}
	kills := 0
	for _, p := range a.replicas {
		if status := p.term(); status != 0 {
			t.Errorf("%s, asked to end, exits %d", p.name, status)
		}
		p.check(t)
		kills += p.kills
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 4, 2, ' ', 0)
	row := func(what string, n any) { fmt.Fprintf(w, "%s\t%v\n", what, n) }
	row("projectors killed", kills)
	row("changes of a partition's owner", a.watch.moves)
	row("epochs that partitions went through", a.watch.epochs)
	row("cluster leader changes", a.leaders.changes)
	row("messages", messages)
	row("retries of the publisher", a.publisher.retries)
	row("messages that NATS stored twice", twice)
	row("accounts compared", accounts)
	row("served documents compared", served)
	row("answers of the API", a.reader.answers)
	row("differences", c.n)
	fmt.Fprintln(w, "\nFAULT\tTIMES\tLASTED AT MOST\tLONGEST WITHOUT PROGRESS")
	kinds := make([]string, 0, len(r.kinds))
	for k := range r.kinds {
		kinds = append(kinds, k)
	}
	slices.Sort(kinds)
	for _, k := range kinds {
		f := r.kinds[k]
		fmt.Fprintf(w, "%s\t%d\t%.2f s\t%.2f s\n", k, f.times, f.lasted.Seconds(), f.longest.Seconds())
	}
	w.Flush()
	t.Logf("SEED=%d, %v:\n%s", a.seed, time.Since(r.began).Round(time.Second), b.String())
}

// countStored counts the acknowledged messages that the stream does not hold, and
// those that it holds more than once.
func (a *chaosSystem) countStored(seen map[string]int) (lost, twice int) {
	for id := range a.publisher.acked {
		if seen[id] == 0 {
			lost++
		}
	}
	for _, n := range seen {
		if n > 1 {
			twice++
		}
	}
	return lost, twice
}
