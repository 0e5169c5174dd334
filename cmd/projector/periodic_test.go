package main

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestSparinglyTakesAPartOfTheTime: what takes longer is done less often, and what fails
// is tried again at once.
func TestSparinglyTakesAPartOfTheTime(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		takes time.Duration
		fails bool
		want  int // calls in 1,000 s, a second apart
	}{{0, false, 1000}, {10 * time.Millisecond, false, 1000}, {500 * time.Millisecond, false, 100}, {5 * time.Second, false, 33}, {5 * time.Second, true, 166}} {
		synctest.Test(t, func(t *testing.T) {
			calls := 0
			do := sparingly(func(context.Context) error {
				calls++
				time.Sleep(c.takes)
				if c.fails {
					return errors.New("it cannot be counted")
				}
				return nil
			})
			for began := time.Now(); time.Since(began) < 1000*time.Second; time.Sleep(time.Second) {
				if err := do(t.Context()); (err != nil) != c.fails {
					t.Fatal(err)
				}
			}
			if diff := calls - c.want; diff < -10 || diff > 10 {
				t.Errorf("taking %v, failing %v: %d calls, want %d", c.takes, c.fails, calls, c.want)
			}
		})
	}
}
