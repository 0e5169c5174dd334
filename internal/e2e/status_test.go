package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"accountexport/internal/local/tcpproxy"
	"accountexport/internal/workload"
)

// statusOutput is one object of `status --json`.
type statusOutput struct {
	StreamEnd         *uint64 `json:"stream_end"`
	Position          uint64
	Lag               *uint64 `json:"lag_events"`
	Parked, Dismissed int64
	Progressing       bool
	Outcomes          map[string]int64
	Partitions        []struct {
		Position uint64
		Lag      *uint64 `json:"lag_events"`
	}
	Error string
}

// jsonPart is the JSON in the output of `status --json`, without the lines on standard error.
func jsonPart(out string) []byte { return []byte(out[max(0, strings.Index(out, "{")):]) }

// parseStatus reads the output of `status --json`.
func parseStatus(out string) (l statusOutput, err error) {
	err = json.Unmarshal(jsonPart(out), &l)
	return l, err
}

// checkConsistent returns an error that names two figures which cannot both be true.
func (l statusOutput) checkConsistent() error {
	if (l.StreamEnd == nil) != (l.Lag == nil) {
		return errors.New("one of stream_end and lag_events is null")
	}
	if l.StreamEnd == nil {
		return nil
	}
	if l.Position > *l.StreamEnd || *l.Lag != *l.StreamEnd-l.Position {
		return fmt.Errorf("position %d of %d, and %d behind", l.Position, *l.StreamEnd, *l.Lag)
	}
	lowest := *l.StreamEnd
	for i, p := range l.Partitions {
		if lowest = min(lowest, p.Position); p.Position > *l.StreamEnd || *p.Lag != *l.StreamEnd-p.Position {
			return fmt.Errorf("partition %d is at %d of %d, and %d behind", i, p.Position, *l.StreamEnd, *p.Lag)
		}
	}
	if lowest != l.Position || len(l.Partitions) != 16 {
		return fmt.Errorf("the lowest of %d partitions is %d, and the position %d", len(l.Partitions), lowest, l.Position)
	}
	if l.Parked+l.Dismissed != l.Outcomes["parked"] {
		return fmt.Errorf("%d are parked and %d dismissed, and %d were", l.Parked, l.Dismissed, l.Outcomes["parked"])
	}
	return nil
}

// TestStatusUnderTraffic: while messages come and are projected, many of them parked, `status`
// never prints a position beyond the stream's end, or two figures that contradict each other.
func TestStatusUnderTraffic(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.startProjector(t)
	g := workload.New(181, workload.Config{Accounts: 40, HostileShare: 0.3})
	s.mustPublish(t, g, 200)
	s.waitProjected(t)
	watch := launch(t, "projector", s.settings, "status", "--watch", "--interval", "100ms", "--json")
	stopPublishing := s.publishUntilStopped(t, g, 400, 300*time.Millisecond)
	for range 3 {
		out, status := command(t, "projector", s.settings, "status", "--json")
		l, err := parseStatus(out)
		if err != nil || status != 0 || l.checkConsistent() != nil {
			t.Errorf("exit %d, %v, %v: %s", status, err, l.checkConsistent(), out)
		}
	}
	eventually(t, "twenty looks", time.Minute, func(context.Context) error {
		if n := strings.Count(watch.out.tail(1<<24), "\n{"); n < 20 {
			return fmt.Errorf("%d", n)
		}
		return nil
	})
	stopPublishing()
	watch.stop(t)
	looks, ends := 0, map[uint64]bool{}
	for lines := bufio.NewScanner(strings.NewReader(watch.out.tail(1 << 24))); lines.Scan(); {
		if !strings.HasPrefix(lines.Text(), "{") {
			continue
		}
		var l statusOutput
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil || l.Error != "" || l.StreamEnd == nil || l.checkConsistent() != nil {
			t.Errorf("%v, %v: %s", err, l.checkConsistent(), lines.Text())
			continue
		}
		looks++
		ends[*l.StreamEnd] = true
	}
	if len(ends) < 5 {
		t.Errorf("in %d looks the stream had %d ends: nothing was published meanwhile", looks, len(ends))
	}
	t.Logf("%d looks, %d ends", looks, len(ends))
}

// TestStatusSaysWhatItWaitsFor: when the database or NATS does not answer, `status` prints what it
// waits for, and exits with 1. `status --watch` reports the attempts that failed, and continues
// when the server does.
func TestStatusSaysWhatItWaitsFor(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.startProjector(t)
	s.publishMarked(t, someone, 3)
	s.waitProjected(t)
	for _, c := range []struct {
		server  string
		setting string
		network *tcpproxy.Proxy
		waits   string // %s: the address
		gaveUp  string
		watched string
	}{
		{"database", "DATABASE_URL", tcpproxy.ForTest(t, s.databaseAddr()), "waiting for the database at %s, for at most ",
			"gave up after 10s of waiting for the database at %s", "this look failed: gave up after 3s of waiting for the database at %s"},
		{"NATS", "NATS_URL", tcpproxy.ForTest(t, s.nats.Addr()), "waiting for NATS at nats://%s, for at most 10s",
			"connect to NATS: not within 5s: nats://%s: it accepts connections, and says nothing for 2s",
			"this look failed: gave up after 3s of waiting for NATS at nats://%s"},
	} {
		t.Run(c.server, func(t *testing.T) {
			t.Parallel()
			settings := maps.Clone(s.settings)
			settings["DATABASE_URL"] = s.database
			if c.setting == "NATS_URL" {
				settings[c.setting] = "nats://" + c.network.Addr()
			} else {
				settings[c.setting] = s.databaseThrough(t, c.network)
			}
			at := func(text string) string { return strings.ReplaceAll(text, "%s", c.network.Addr()) }
			watch := launch(t, "projector", settings, "status", "--watch", "--interval", "200ms", "--timeout", "3s")
			eventually(t, "a look", time.Minute, hasPrinted(watch, "position 3 of 3, 0 behind"))
			c.network.Stall()
			out, status := command(t, "projector", settings, "status")
			if status != 1 || !strings.Contains(out, at(c.waits)) || !strings.Contains(out, at(c.gaveUp)) {
				t.Errorf("exit %d: %s", status, out)
			}
			eventually(t, "the watch to say so", time.Minute, hasPrinted(watch, at(c.watched)))
			failed := len(watch.out.tail(1 << 24))
			c.network.Resume()
			eventually(t, "another look", time.Minute, func(context.Context) error {
				if out := watch.out.tail(1 << 24); !strings.Contains(out[failed:], "position 3 of 3, 0 behind") {
					return errors.New(out[failed:])
				}
				return nil
			})
			watch.signal(syscall.SIGINT)
			if status := watch.wait(); status != 0 {
				t.Errorf("the last look was fine, and the watch ends with %d", status)
			}
		})
	}
}

// TestStatusWatchEndsAsItsLastLook: `status --watch` prints blocks separated by an empty line, and
// exits with the status of the last one.
func TestStatusWatchEndsAsItsLastLook(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := s.startProjector(t)
	s.publishMarked(t, someone, 3)
	s.waitProjected(t)
	watch := launch(t, "projector", s.settings, "status", "--watch", "--interval", "100ms")
	eventually(t, "two looks", time.Minute, hasPrinted(watch, "\n\ngeneration 1 (live)"))
	projector.kill()
	s.publishMarked(t, someone, 2)
	eventually(t, "it to be behind", time.Minute, hasPrinted(watch, "position 3 of 5, 2 behind, NOT progressing; 0 parked"))
	watch.signal(syscall.SIGTERM)
	watch.mustExit(t, 1)
	recreateStream(t, s.nats.URL())
	watch = launch(t, "projector", s.settings, "status", "--watch", "--interval", "100ms", "--json")
	eventually(t, "the refusal", time.Minute, hasPrinted(watch, `"refused":{"exit":12,`))
	watch.signal(syscall.SIGTERM)
	watch.mustExit(t, 12)
}

// TestStatusTellsRateAndTimeLeft: while the projector catches up, `status` prints its rate and the
// time left, and exits with 0.
func TestStatusTellsRateAndTimeLeft(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	g := workload.New(182, workload.Config{Accounts: 50})
	s.mustPublish(t, g, 20_000)
	slow := maps.Clone(s.settings)
	slow["DATABASE_URL"], slow["BATCH_EVENTS"] = s.slowDatabase(t, 100_000), "100"
	launch(t, "projector", slow, "run")
	moving := regexp.MustCompile(`position \d+ of \d+, \d+ behind, progressing by [1-9]\d* a second, time left (\d+[hms])+; `)
	eventually(t, "rate and time left", time.Minute, func(context.Context) error {
		out, status := command(t, "projector", s.settings, "status")
		if !moving.MatchString(out) {
			s.mustPublish(t, g, 5000) // it may have caught up before the look
			return fmt.Errorf("exit %d: %s", status, out)
		}
		if status != 0 {
			t.Fatalf("exit %d: %s", status, out)
		}
		return nil
	})
}
