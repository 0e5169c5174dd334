package main

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// runPeriodically calls do at once and then at intervals, each time within the limit,
// until ctx ends. After failures it waits longer, up to half a minute or the interval,
// and calls failed, which may be nil.
func runPeriodically(ctx context.Context, interval, limit time.Duration, do func(context.Context) error, failed func(err error, wait time.Duration)) {
	retry := backoff.NewExponentialBackOff()
	retry.InitialInterval, retry.MaxInterval = interval, max(interval, 30*time.Second)
	for {
		began := time.Now()
		limited, cancel := context.WithTimeout(ctx, limit)
		err := do(limited)
		cancel()
		wait := interval - time.Since(began)
		if err == nil {
			retry.Reset()
		} else {
			wait = retry.NextBackOff()
			if failed != nil && ctx.Err() == nil {
				failed(err, wait)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// sparingly leaves out calls of do until twenty times as long has passed as its last
// successful one took, but at most for half a minute: however much there is to do, and a
// server that was slow once does not keep it away for long. It is for one goroutine.
func sparingly(do func(context.Context) error) func(context.Context) error {
	var due time.Time
	return func(ctx context.Context) error {
		began := time.Now()
		if began.Before(due) {
			return nil
		}
		err := do(ctx)
		if err == nil {
			due = began.Add(min(20*time.Since(began), 30*time.Second))
		}
		return err
	}
}
