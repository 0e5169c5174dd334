package devstack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/term"

	"accountexport/readmodel/admin"
)

// live runs the simulated control plane and prints what happens, until ctx ends or a
// part fails.
func (s *stack) live(ctx context.Context) error {
	plane, err := newControlPlane(ctx, s.outboxPool, s.client, s.opt.Accounts)
	if err != nil {
		return err
	}
	account := newLife(0).id
	token, err := s.token(account)
	if err != nil {
		return err
	}
	if err := s.waitForExport(ctx, token); err != nil {
		return err
	}
	s.printIntroduction(account.String(), token)
	s.health.started()

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() { plane.live(ctx, s.opt.Rate) })
	err = s.watch(ctx)
	cancel()
	wg.Wait()
	return err
}

func (s *stack) printIntroduction(account, token string) {
	s.printf(`
NATS        %s
PostgreSQL  %s
outbox      %s; projector relay publishes it, with metrics at http://%s/metrics
API         %s
metrics     http://%s/metrics (projector), http://%s/metrics (API)
health      http://%s/readyz
logs        %s

In a browser, what becomes of every event, and all that an operator may do:

console  http://%s/

An export, with a token that is valid for 12 hours:

curl -s -H 'Authorization: Bearer %s' %s

One more event by hand, which changes it within a second:

echo '{"specversion":"1.0","id":"by-hand-'$(date +%%s)'","source":"/by-hand","type":"controlplane.user.profile_updated.v1","time":"'$(date -u +%%FT%%TZ)'","partitionkey":"%s","data":{"name":"Changed by hand"}}' | NATS_URL=%s %s publish

What became of it, and how that account came to be, in the console:

timeline  http://%s/accounts/%s#timeline-part

Ctrl-C ends everything.
`, s.nats.URL(), s.database.description, s.outbox.description, s.adminAddrs[2], s.exportURL(), s.adminAddrs[0], s.adminAddrs[1], s.health.addr, s.dir,
		s.consoleAddr, token, s.exportURL(),
		account, s.nats.URL(), relativePath(s.projectorBin), s.consoleAddr, account)
}

// relativePath returns a program's path relative to the working folder if it is below that.
func relativePath(path string) string {
	here, err := os.Getwd()
	if err != nil {
		return path
	}
	if rel, err := filepath.Rel(here, path); err == nil && filepath.IsLocal(rel) {
		return "." + string(filepath.Separator) + rel
	}
	return path
}

// watch prints a line of figures: every second and in place on a terminal, and
// otherwise every five seconds. It returns an error when one of the programs ends.
func (s *stack) watch(ctx context.Context) error {
	every, line := 5, "%s\n"
	if f, ok := s.opt.Out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		every, line = 1, "\r\x1b[K%s"
		defer fmt.Fprintln(s.opt.Out)
	}
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	var before figures
	for ticks := 1; ; ticks++ {
		select {
		case <-ctx.Done():
			return nil
		case <-s.projector.Ended():
			return s.failure(s.projector)
		case <-s.api.Ended():
			return s.failure(s.api)
		case <-s.relay.Ended():
			return s.failure(s.relay)
		case <-s.console.Ended():
			return s.failure(s.console)
		case <-ticker.C:
		}
		if s.postgresEnded() {
			return errors.New("PostgreSQL ended")
		}
		if ticks%every != 0 && !before.at.IsZero() {
			continue
		}
		now, err := s.measure(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil: // may pass
			fmt.Fprintf(s.opt.Out, line, fmt.Sprintf("cannot look: %.60s …", err))
			continue
		}
		if !before.at.IsZero() {
			fmt.Fprintf(s.opt.Out, line, now.since(before))
		}
		before = now
	}
}

// figures are the values of the printed line.
type figures struct {
	at                                                    time.Time
	published, projected, lag, documents, parked, pending int64
}

func (f figures) since(before figures) string {
	seconds := f.at.Sub(before.at).Seconds()
	return fmt.Sprintf("%.0f events/s published, %.0f projected, lag %d, %d documents, %d parked, %d in the outbox",
		float64(f.published-before.published)/seconds, float64(f.projected-before.projected)/seconds, f.lag, f.documents, f.parked, f.pending)
}

// measure reads the figures from the stream, the read model and the outbox.
func (s *stack) measure(ctx context.Context) (figures, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	f := figures{at: time.Now()}
	info, err := s.client.Info(ctx)
	if err != nil {
		return f, err
	}
	f.published = int64(info.Last)
	st, err := admin.ReadStatus(ctx, s.pool)
	if err != nil {
		return f, err
	}
	if len(st.Partitions) == 0 {
		return f, errors.New("no partitions")
	}
	low := st.Partitions[0].Position
	for _, p := range st.Partitions {
		low = min(low, p.Position)
		f.projected += p.Tally.Total()
	}
	// Checkpoints of partitions without a message advance only once a second.
	f.lag = max(0, int64(info.Last)-max(int64(low), f.projected))
	f.parked = st.Parked
	if f.documents, err = admin.CountAccounts(ctx, s.pool); err != nil {
		return f, err
	}
	err = s.outboxPool.QueryRow(ctx, `SELECT count(*) FROM outbox.messages`).Scan(&f.pending)
	return f, err
}
