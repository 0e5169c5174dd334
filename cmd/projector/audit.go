package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"accountexport/events"
	"accountexport/projections"
	"accountexport/readmodel"
)

// auditing holds accounts, drawn at random, against the stream, slowly and for
// ever.
type auditing struct {
	verifying
	differences prometheus.Counter
	log         *slog.Logger
}

func (a *auditing) run(ctx context.Context, perSecond int) {
	if perSecond <= 0 {
		return
	}
	steadily(ctx, time.Second/time.Duration(perSecond), 5*time.Minute, a.look, nil)
}

// look draws an account. Errors pass: the servers are away, and readiness tells
// so.
func (a *auditing) look(ctx context.Context) error {
	if gone, err := readmodel.HistoryGone(ctx, a.pool); err != nil || gone {
		return err // there is nothing to hold the accounts against
	}
	return readmodel.SampleAccounts(ctx, a.pool, 1, func(id events.UUID) error { return a.one(ctx, id) })
}

// one compares an account. A difference counts when it is found twice: an
// erasure may have removed messages between the two readings of one look.
func (a *auditing) one(ctx context.Context, id events.UUID) error {
	var found verdict
	for range 2 {
		v, err := a.account(ctx, id)
		if err != nil || len(v.Differences) == 0 || v.due {
			return err
		}
		found = v
	}
	info, err := a.client.Info(ctx)
	if err != nil {
		return err
	}
	a.differences.Inc()
	a.log.Error(advice(found, info), "account", id.String(), "stream_begins_at", info.First)
	return nil
}

// advice is what mends a difference without a loss. Where the stream may have
// lost messages of the account, or holds less of it, a fold of what is left
// would take the place of a good document.
func advice(v verdict, info projections.StreamInfo) string {
	if v.less || info.First > 1 {
		return "a stored account differs from a fold of its messages, of which the stream may have lost some: do not refold it. " +
			"`projector history --account` shows what the stream holds of it; restore the stream from a backup that holds the rest, " +
			"and what is stored is right"
	}
	return "a stored account differs from a fold of its messages: `projector verify --account` shows where, `projector refold --account` mends it"
}
