package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"accountexport/readmodel"
	"accountexport/readmodel/segments"
)

// How long compressing rests after a look at a thousand accounts, and after the last of
// them.
const (
	compressInterval = time.Second
	compressAnew     = time.Minute
)

// compress has pages that have come to rest compressed, slowly and until ctx ends. Where
// that fails, documents are compressed as they are read, and it goes on later.
func compress(ctx context.Context, w *segments.Walker, rate int, log *slog.Logger) {
	if rate <= 0 {
		return
	}
	runPeriodically(ctx, compressInterval, 24*time.Hour, func(ctx context.Context) error {
		end, err := w.Next(ctx)
		if errors.Is(err, readmodel.ErrNoGeneration) {
			err = nil
		}
		if end && err == nil {
			select {
			case <-ctx.Done():
			case <-time.After(compressAnew):
			}
		}
		return err
	}, func(err error, wait time.Duration) {
		log.Warn("compressing pages at rest goes on later", "error", err, "wait", wait)
	})
}
