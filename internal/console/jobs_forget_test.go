package console

import (
	"context"
	"errors"
	"slices"
	"testing"

	"accountexport/events"
	"accountexport/internal/acts"
)

// TestActsForgetWhoIsErased: acts that concern an account, or name it in what they have
// come to, are remembered no longer once it is erased, those that run then included;
// others are, and so are erasures.
func TestActsForgetWhoIsErased(t *testing.T) {
	account, err := events.ParseUUID(someone)
	if err != nil {
		t.Fatal(err)
	}
	s := newJobs()
	ctx, end := context.WithCancel(t.Context())
	defer s.wait()
	defer end()
	s.begin(ctx)
	var names []string
	run := func(name string, j *job, do func(*job) error) *job {
		t.Helper()
		j.changed, j.Title = func() {}, name
		names = append(names, name)
		j, err := s.start(j, func(_ context.Context, j *job) error { return do(j) })
		if err != nil {
			t.Fatal(err)
		}
		return j
	}
	ended := func(j *job) { <-j.done }
	ended(run("about it", &job{about: &account}, func(*job) error { return nil }))
	ended(run("found it", &job{}, func(j *job) error { j.conclude([]string{someone}, "one"); return nil }))
	ended(run("failed by it", &job{}, func(*job) error { return errors.New("account " + someone + " is odd") }))
	ended(run("of others", &job{}, func(j *job) error { j.conclude(nil, "nobody"); return nil }))
	ended(run("its erasure", &job{Act: acts.AccountErase, about: &account}, func(*job) error { return nil }))
	let := make(chan struct{})
	running := run("runs, and finds it", &job{}, func(j *job) error { <-let; j.step("account %s", someone); return nil })
	other := run("runs, and finds nobody", &job{}, func(*job) error { <-let; return nil })

	s.forget(account, nil)
	close(let)
	ended(running)
	ended(other)
	s.running.Wait() // what ends is dropped after it has ended
	var left []string
	for _, j := range s.all {
		left = append(left, j.Title)
	}
	if want := []string{"of others", "its erasure", "runs, and finds nobody"}; !slices.Equal(left, want) {
		t.Errorf("of %v are left %v, want %v", names, left, want)
	}
}
