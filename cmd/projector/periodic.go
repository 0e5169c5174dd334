package main

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// runPeriodically calls do at once and then in these intervals, each time with so
// long a limit. After failures it waits longer, up to half a minute, and tells
// failed, which may be nil.
func runPeriodically(ctx context.Context, interval, limit time.Duration, do func(context.Context) error, failed func(err error, wait time.Duration)) {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = interval, max(interval, 30*time.Second)
	for {
		began := time.Now()
		limited, cancel := context.WithTimeout(ctx, limit)
		err := do(limited)
		cancel()
		wait := interval - time.Since(began)
		if err == nil {
			pause.Reset()
		} else {
			wait = pause.NextBackOff()
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
