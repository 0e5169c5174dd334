package e2e

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"accountexport/internal/local/documents"
	"accountexport/internal/local/testrun"
)

// rehearsal makes the situation of an entry of doc/runbook.md happen.
type rehearsal struct {
	quick bool // also without LONG

	// situation has everything run and then makes it happen.
	situation func(t *testing.T) *onCall

	// byHand does what **Mend.** asks for in words, such as editing a file; nil: nothing.
	byHand func(t *testing.T, o *onCall)

	// first is an entry whose **Mend.** this one's says to follow before its own; "": none.
	first string

	// after looks at what the runbook does not: nil: at nothing.
	after func(t *testing.T, o *onCall)
}

// TestRunbook follows doc/runbook.md to the letter: for each entry the situation is made, its
// **Look.** sees what it promises, its **Mend.** is run once, and its **Over.** sees that it is
// over. Entries whose situation is not made are listed by notRehearsed, with the reason: their
// commands are run where nothing is wrong.
func TestRunbook(t *testing.T) {
	t.Parallel()
	entries, prelude, desk := readRunbook(t)
	all := rehearsals()
	for heading := range all {
		if _, there := entries[heading]; !there {
			t.Errorf("%q is rehearsed, and doc/runbook.md has no such entry", heading)
		}
	}
	for heading, why := range notRehearsed() {
		if _, both := all[heading]; both || why == "" {
			t.Errorf("%q is not rehearsed since %q: it has to be rehearsed or have a reason, and not both", heading, why)
		}
		if _, there := entries[heading]; !there {
			t.Errorf("%q is not rehearsed, and doc/runbook.md has no such entry", heading)
		}
	}
	t.Run("first", func(t *testing.T) {
		t.Parallel()
		o := healthy(t, "api")
		o.prelude = prelude
		for _, step := range desk {
			o.look(t, step)
		}
	})
	for _, heading := range slices.Sorted(maps.Keys(entries)) {
		entry, r := entries[heading], all[heading]
		if _, listed := notRehearsed()[heading]; listed {
			r = rehearsal{situation: asked} // its commands are run all the same
		}
		t.Run(heading, func(t *testing.T) {
			t.Parallel()
			if r.situation == nil {
				t.Fatalf("doc/runbook.md:%d: nobody rehearses it, and notRehearsed has no reason", entry.Line)
			}
			if !r.quick && !testrun.Long() {
				t.Skip("rehearsed at length")
			}
			o := r.situation(t)
			o.prelude = prelude
			for _, step := range entry.Parts["Look"].Steps {
				o.look(t, step)
			}
			if r.byHand != nil {
				r.byHand(t, o)
			}
			if r.first != "" {
				o.mend(t, entries[r.first])
			}
			o.mend(t, entry)
			for _, step := range entry.Parts["Over"].Steps {
				o.over(t, step)
			}
			if r.after != nil {
				r.after(t, o)
			}
		})
	}
}

// readRunbook gives the entries by their headings, the commands that come before all others, and
// the steps of whoever was paged. Every block of commands is one of these.
func readRunbook(t *testing.T) (entries map[string]documents.Entry, prelude string, first []documents.Step) {
	t.Helper()
	all, err := documents.Read("../..")
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(d documents.Document) bool { return d.Path == documents.Runbook })
	if i < 0 {
		t.Fatalf("there is no %s", documents.Runbook)
	}
	parsed, err := all[i].Entries()
	if err != nil {
		t.Fatal(err)
	}
	entries, known := map[string]documents.Entry{}, 0
	for _, e := range parsed {
		for _, part := range e.Parts {
			known += len(part.Steps)
		}
		switch e.Heading {
		case documents.RunbookFirst:
			steps := e.Parts["Settings"].Steps
			if len(steps) != 1 {
				t.Fatalf("%s: %d blocks of **Settings.**, want 1", documents.Runbook, len(steps))
			}
			prelude, first = steps[0].Block.Text, e.Parts["Look"].Steps
		default:
			entries[e.Heading] = e
		}
	}
	blocks := 0
	for _, b := range all[i].Blocks() {
		if b.Lang == "sh" {
			blocks++
		}
	}
	if blocks != known || len(first) == 0 || len(entries) == 0 {
		t.Errorf("%s has %d blocks of commands, of which %d belong to an entry's parts", documents.Runbook, blocks, known)
	}
	return entries, prelude, first
}

// look runs a step again and again until it prints what it promises.
func (o *onCall) look(t *testing.T, step documents.Step) {
	t.Helper()
	o.until(t, step, false)
}

// over is look, but the step has to exit with 0, too.
func (o *onCall) over(t *testing.T, step documents.Step) {
	t.Helper()
	o.until(t, step, true)
}

func (o *onCall) until(t *testing.T, step documents.Step, succeeds bool) {
	t.Helper()
	eventually(t, step.Block.At(), time.Minute, func(ctx context.Context) error {
		out, err := o.sh(t, step.Block.Text)
		if !succeeds {
			err = nil
		}
		if err == nil {
			err = step.Matches(out)
		}
		if err != nil {
			_ = sleep(ctx, 300*time.Millisecond) // a person looks no more often, and each look is a process
			return fmt.Errorf("%w: %s", err, out)
		}
		t.Logf("%s\n%s%s", step.Block.At(), step.Block.Text, out)
		return nil
	})
}

// mend runs an entry's commands once: each has to exit with 0.
func (o *onCall) mend(t *testing.T, e documents.Entry) {
	t.Helper()
	for _, step := range e.Parts["Mend"].Steps {
		out, err := o.sh(t, "set -e\n"+step.Block.Text)
		if err == nil {
			err = step.Matches(out)
		}
		if t.Logf("%s\n%s%s", step.Block.At(), step.Block.Text, out); err != nil {
			t.Fatalf("%s: %v", step.Block.At(), err)
		}
	}
}

// asked is healthy where somebody has asked for a document.
func asked(t *testing.T) *onCall {
	t.Helper()
	o := healthy(t, "api")
	if status, _, body, err := get(t.Context(), "http://"+o.addresses["8080"]+"/v1/account/export", mintToken(t, uuid(t, someone))); err != nil || status != 200 {
		t.Fatalf("%d, %v: %s", status, err, body)
	}
	return o
}

// healthy is somebody on call where everything runs, and an account has a document.
func healthy(t *testing.T, units ...string) *onCall {
	t.Helper()
	return healthyAt(t, newSystem(t), units...)
}

func healthyAt(t *testing.T, s *system, units ...string) *onCall {
	t.Helper()
	o := newOnCall(t, s, units...)
	for name, unit := range o.all {
		if unit.start == nil {
			o.systemdDoes(t, "start", name)
		}
	}
	o.publishComplete(t, uuid(t, someone))
	o.publishMarked(t, another, 3)
	o.waitProjected(t)
	for name, port := range map[string]string{"accountexport-projector": "9091", "accountexport-api": "9092"} {
		if o.all[name] != nil {
			eventually(t, name+" to be ready", time.Minute, func(ctx context.Context) error {
				status, _, body, err := get(ctx, "http://"+o.addresses[port]+"/readyz", "")
				if err == nil && status != 200 {
					err = fmt.Errorf("%d: %s", status, strings.TrimSpace(string(body)))
				}
				return err
			})
		}
	}
	return o
}
