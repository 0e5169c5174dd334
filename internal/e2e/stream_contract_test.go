package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"accountexport/events"
	"accountexport/internal/workload"
)

// TestStreamOffContract: a setting of the stream that differs from the contract, and has lost
// nothing yet, is reported once by the log, by a metric and by `status`, while running and at
// start, and the projector continues.
func TestStreamOffContract(t *testing.T) {
	t.Parallel()
	s, _ := newSystemWithAPI(t)
	s.settings["ADMIN_ADDR"] = freeAddr(t)
	const line = "the stream is off the contract"
	publishMore := func(p *process, seed uint64) {
		t.Helper()
		s.mustPublish(t, workload.New(seed, workload.Config{Accounts: 5}), 100)
		s.waitProjected(t)
	}
	waitGauge := func(what string, there bool) {
		t.Helper()
		eventually(t, fmt.Sprintf("the gauge of %s: %v", what, there), 20*time.Second, func(ctx context.Context) error {
			status, _, body, err := get(ctx, "http://"+s.settings["ADMIN_ADDR"]+"/metrics", "")
			if err != nil || status != http.StatusOK {
				return fmt.Errorf("status %d, %w", status, err)
			}
			if strings.Contains(string(body), fmt.Sprintf("projector_stream_off_contract{what=%q} 1\n", what)) != there {
				return errors.New("it is not so")
			}
			return nil
		})
	}
	projector := s.startProjector(t)
	publishMore(projector, 61)
	waitGauge("max_age", false)
	for _, when := range []string{"while running", "at start"} {
		if when == "at start" {
			projector.kill()
			projector = s.startProjector(t)
		} else {
			s.updateStream(t, func(c *jetstream.StreamConfig) { c.MaxAge, c.Discard = 24*time.Hour, jetstream.DiscardOld })
		}
		waitGauge("max_age", true)
		waitGauge("discard", true)
		publishMore(projector, 62)
		waitGauge("max_age", true)
		if out := projector.out.tail(1 << 20); strings.Count(out, line) != 2 || strings.Count(out, "24h0m0s") != 1 {
			t.Errorf("%s: not told once for each setting: %s", when, out)
		}
		out, status := command(t, "projector", s.settings, "status")
		if status != 0 || !strings.Contains(out, "max_age is 24h0m0s, want no limit") || !strings.Contains(out, "discard is DiscardOld") {
			t.Errorf("%s: status ends with %d: %s", when, status, out)
		}
	}
	s.updateStream(t, func(c *jetstream.StreamConfig) { c.MaxAge, c.Discard = 0, jetstream.DiscardNew })
	waitGauge("max_age", false)
	waitGauge("discard", false)
	eventually(t, "the log to say that it is mended", 20*time.Second, func(context.Context) error {
		if out := projector.out.tail(1 << 20); strings.Count(out, "as the contract wants it again") != 2 {
			return errors.New("it does not")
		}
		return nil
	})
	if out, status := command(t, "projector", s.settings, "status"); status != 0 || strings.Contains(out, "max_age") {
		t.Errorf("status ends with %d: %s", status, out)
	}
}

// TestMissingTransform: a stream without its subject transform is checkRefused, while running and at
// start, by every command that needs a partition. After the transform is restored, as the refusal
// advises, everything that was stored meanwhile is folded.
func TestMissingTransform(t *testing.T) {
	t.Parallel()
	s, served := newSystemWithAPI(t)
	projector := s.startProjector(t)
	s.waitProjected(t)
	before := served()
	var transform *jetstream.SubjectTransformConfig
	s.updateStream(t, func(c *jetstream.StreamConfig) { transform, c.SubjectTransform = c.SubjectTransform, nil })
	advice := fmt.Sprintf("nats stream edit CONTROL_PLANE --force --transform-source='%s' --transform-destination='%s'", transform.Source, transform.Destination)
	checkRefused := func(status int, out string) {
		t.Helper()
		for _, want := range []string{"it has no subject transform", "still served", advice} {
			if status != 15 || !strings.Contains(out, want) {
				t.Errorf("exit %d, want 15 and %q: %s", status, want, out)
			}
		}
	}
	checkRefused(projector.wait(), projector.out.tail(1<<16))
	account := uuid(t, someone)
	m, err := events.NewUserProfileUpdated(newMeta("bare"), account,
		events.UserProfileUpdated{Name: events.Some("Stored meanwhile")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.client.PublishRaw(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"run"}, {"status"}, {"rebuild"}, {"accept", "--yes"}} {
		out, status := command(t, "projector", s.settings, args...)
		checkRefused(status, out)
	}
	if now := served(); now != before {
		t.Errorf("served is %s, and was %s", now, before)
	}
	s.updateStream(t, func(c *jetstream.StreamConfig) { c.SubjectTransform = transform })
	s.startProjector(t)
	s.waitProjected(t)
	if now := served(); !strings.Contains(now, "Stored meanwhile") {
		t.Errorf("served is %s", now)
	}
	s.checkAgainstOracle(t)
}

// TestAuditAdvisesNoLoss: after the loss of accounts' beginnings was accepted, the audit does not
// advise to refold them, which would replace complete documents by folds of what is left.
func TestAuditAdvisesNoLoss(t *testing.T) {
	t.Parallel()
	s, served := newSystemWithAPI(t)
	s.settings["AUDIT_RATE"] = "50000"
	s.settings["AUDIT_BYTES"] = "1GiB"
	projector := s.startProjector(t)
	s.waitProjected(t)
	before := served()
	info := s.info(t)
	s.purge(t, info.Last)
	projector = s.refuseAndAcceptGap(t, projector, fmt.Sprintf("1–%d", info.Last-1))
	eventually(t, "the audit to find it", time.Minute, func(context.Context) error {
		if !strings.Contains(projector.out.tail(1<<20), "do not refold it") {
			return errors.New("it has not")
		}
		return nil
	})
	if out := projector.out.tail(1 << 20); strings.Contains(out, "projector refold") {
		t.Errorf("the audit advises to refold: %s", out)
	}
	if now := served(); now != before {
		t.Errorf("served is %s, and was %s", now, before)
	}
}

// TestMissingPermissionsAreNamed: a command whose NATS user lacks a permission names the subject,
// instead of reporting a timeout.
func TestMissingPermissionsAreNamed(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.startProjector(t)
	s.publishMarked(t, someone, 3)
	s.waitProjected(t)
	for denied, named := range map[string]string{
		"$JS.API.STREAM.INFO.*":       "no permission to publish on $JS.API.STREAM.INFO.CONTROL_PLANE",
		"$JS.API.STREAM.MSG.GET.*":    "no permission to publish on $JS.API.STREAM.MSG.GET.CONTROL_PLANE",
		"$JS.API.CONSUMER.CREATE.>":   "no permission to publish on $JS.API.CONSUMER.CREATE.CONTROL_PLANE",
		"$JS.API.CONSUMER.MSG.NEXT.>": "no permission to publish on $JS.API.CONSUMER.MSG.NEXT.CONTROL_PLANE",
	} {
		if err := s.nats.Restrict(t.Context(), denied); err != nil {
			t.Fatal(err)
		}
		restricted := maps.Clone(s.settings)
		restricted["NATS_URL"] = strings.Replace(s.nats.URL(), "nats://", "nats://restricted:restricted@", 1)
		for _, args := range [][]string{{"erase", "--account", someone, "--dry-run"}, {"verify", "--account", someone}} {
			if out, status := command(t, "projector", restricted, args...); status != 1 || !strings.Contains(lastLines(out), named) {
				t.Errorf("%s, %v: exit %d: %s", denied, args, status, out)
			}
		}
	}
}
