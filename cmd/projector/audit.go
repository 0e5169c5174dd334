package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"accountexport/internal/acts"
)

// auditLook is more than looking at one account takes at the least pace that
// is sensible.
const auditLook = 24 * time.Hour

// audit holds accounts, drawn at random, against the stream, slowly and for
// ever. Errors pass: the servers are away, and readiness tells so.
func audit(ctx context.Context, on acts.Target, messages, bytes int, differences prometheus.Counter, log *slog.Logger) {
	if messages <= 0 {
		return
	}
	a := &acts.Auditor{Verifier: acts.Verifier{Target: on, Limit: acts.NewReadLimit(messages, bytes)}}
	runPeriodically(ctx, time.Millisecond, auditLook, func(ctx context.Context) error {
		f, err := a.Next(ctx)
		if f != nil {
			differences.Inc()
			log.Error(f.Advice, "account", f.Account, "position", f.Position, "folded_position", f.Folded, "stream_begins_at", f.StreamBegins)
		}
		return err
	}, nil)
}
