package importer

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"accountexport/internal/stream"
)

// TestAStreamThatRemovesMessagesIsRefused: what was published there would not be there.
// One that only refuses new messages is not refused for that.
func TestAStreamThatRemovesMessagesIsRefused(t *testing.T) {
	for want, change := range map[string]func(*jetstream.StreamConfig){
		"max_msgs_per_subject is 1, want no limit": func(cfg *jetstream.StreamConfig) { cfg.MaxMsgsPerSubject = 1 },
		"max_msgs is 50, want no limit":            func(cfg *jetstream.StreamConfig) { cfg.MaxMsgs, cfg.Discard = 50, jetstream.DiscardOld },
		"max_bytes is 5000, want no limit":         func(cfg *jetstream.StreamConfig) { cfg.MaxBytes, cfg.Discard = 5000, jetstream.DiscardOld },
		"max_age is 1h0m0s, want no limit":         func(cfg *jetstream.StreamConfig) { cfg.MaxAge = time.Hour },
		"sealed is true, want false":               func(cfg *jetstream.StreamConfig) { cfg.Sealed = true },
		"":                                         func(cfg *jetstream.StreamConfig) { cfg.MaxMsgs = 100 },
	} {
		c, srv := provisioned(t)
		reconfigure(t, srv.URL(), change)
		_, err := Run(deadline(t), c, inline(increments(0, 100, 3)), true, Options{Progress: progressPath(t)})
		if want == "" && err != nil || want != "" && (!errors.Is(err, stream.ErrKeepsNothing) || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v", want, err)
		}
		if n := len(stored(t, c)); want != "" && n > 0 {
			t.Errorf("%q: %d subjects have messages", want, n)
		}
	}
}

// TestAFileThatChangesWhileItIsReadIsNoticed: cut off, appended to, or changed between
// the check and the publishing. Where it has only grown, what was checked is published.
func TestAFileThatChangesWhileItIsReadIsNoticed(t *testing.T) {
	checked := increments(0, 100, 2)
	for name, tc := range map[string]struct {
		first, then string
		changed     bool
	}{
		"cut off":                         {checked, increments(0, 40, 2), true},
		"changed at its end":              {checked, increments(0, 99, 2) + increment(100, 2) + "\n", true},
		"appended to its last line":       {strings.TrimSuffix(checked, "\n"), checked, true},
		"grown":                           {checked, increments(0, 150, 2), false},
		"grown, with empty lines between": {checked + "\n\n", checked + "\n\n" + increment(101, 2), false},
	} {
		c, _ := provisioned(t)
		opt, opened := Options{Progress: progressPath(t), Lines: 30}, 0
		sum, err := Run(deadline(t), c, func() (io.ReadCloser, error) {
			if opened++; opened == 1 {
				return inline(tc.first)()
			}
			return inline(tc.then)()
		}, true, opt)
		if tc.changed != (err != nil) || tc.changed && !strings.Contains(err.Error(), "has changed while it was read") {
			t.Errorf("%s: %+v, %v", name, sum, err)
		}
		if !tc.changed && sum.Lines != 100 {
			t.Errorf("%s: %+v", name, sum)
		}
		if _, err := Run(deadline(t), c, inline(checked), true, opt); err != nil && tc.changed {
			t.Errorf("%s: as it was: %v", name, err)
		}
		if diff := cmp.Diff(lineIDs(0, 100, 2), stored(t, c)); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
}
