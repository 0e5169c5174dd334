package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"accountexport/internal/acts"
)

// auditTimeout bounds the audit of one account. It is longer than that takes at the
// lowest sensible rate.
const auditTimeout = 24 * time.Hour

// audit compares accounts, drawn at random, with the stream, slowly and until ctx
// ends. A difference is logged and counted. Errors are not: they mean that the servers
// cannot be reached, which readiness says, and the audit goes on later.
func audit(ctx context.Context, on acts.Target, messages, bytes int, differences prometheus.Counter, log *slog.Logger) {
	if messages <= 0 {
		return
	}
	a := &acts.Auditor{Verifier: acts.Verifier{Target: on, Limit: acts.NewReadLimit(messages, bytes)}}
	runPeriodically(ctx, time.Millisecond, auditTimeout, func(ctx context.Context) error {
		f, err := a.Next(ctx)
		if f != nil {
			differences.Inc()
			log.Error(f.Advice, "account", f.Account, "position", f.Position, "folded_position", f.Folded, "stream_begins_at", f.StreamBegins)
		}
		return err
	}, nil)
}
