package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"accountexport/events"
	"accountexport/internal/local/testrun"
)

// TestVerifyingALargeAccountIsBounded: `verify`, the audit of `run` and `refold` stay within the
// smallest MEMORY_LIMIT, however large an account is; they find a damaged byte in it, and mend it.
func TestVerifyingALargeAccountIsBounded(t *testing.T) {
	t.Parallel()
	items := 700 // of 60 kB each
	if testrun.Long() {
		items = 1500
	}
	s := newSystem(t)
	settings := maps.Clone(s.settings)
	settings["AUDIT_RATE"], settings["MEMORY_LIMIT"] = "0", "128MiB"
	projector := launch(t, "projector", settings, "run")
	id := uuid(t, someone)
	s.publishComplete(t, id)
	notes := strings.Repeat("n", 60_000)
	s.publishEach(t, items, func(i int) (events.Message, error) {
		return events.NewSandboxCreated(events.Meta{ID: fmt.Sprint("v", i), Source: "/t", Time: events.TimeOf(time.Now())}, id,
			events.SandboxCreated{ID: fmt.Sprint("sbx", i), Template: "base", Metadata: fmt.Appendf(nil, `{"i":%d,"n":"%s"}`, i, notes)})
	})
	eventually(t, "everything projected", 2*time.Minute, s.caughtUp)
	projector.stop(t)
	const limit = 128 << 20
	bounded := func(args ...string) {
		t.Helper()
		verify := launch(t, "projector", settings, args...)
		var most int64
		for ended := false; !ended; {
			// After the end, the operating system's figure may be that of this test, from
			// which the program was forked.
			if now, err := verify.peakMemory(); err == nil {
				most = max(most, now)
			}
			select {
			case err := <-verify.done:
				verify.done <- err
				ended = true
			case <-time.After(time.Millisecond):
			}
		}
		if status := verify.wait(); status != 0 || most == 0 {
			t.Errorf("%v: exit %d, %d bytes: %s", args, status, most, verify.out.tail(1000))
		}
		if t.Logf("%v: at most %d of %d MiB", args, most>>20, limit>>20); most > limit {
			t.Errorf("%v: %d bytes, %d too many", args, most, most-limit)
		}
	}
	bounded("verify", "--account", someone)
	bounded("verify", "--all")
	if _, err := s.pool.Exec(t.Context(), `
UPDATE export_g1.account_export_pages SET body = set_byte(body, 100, get_byte(body, 100) # 1)
WHERE (account_id, section, page_key) = (SELECT account_id, section, page_key FROM export_g1.account_export_pages LIMIT 1)`); err != nil {
		t.Fatal(err)
	}
	settings["AUDIT_RATE"], settings["AUDIT_BYTES"] = "10000000", "1GiB"
	projector = launch(t, "projector", settings, "run")
	eventually(t, "the audit to come by it", time.Minute, func(context.Context) error {
		if !strings.Contains(projector.out.tail(1<<20), "differs from a fold") {
			return errors.New("it says nothing")
		}
		return nil
	})
	most, err := projector.peakMemory()
	if t.Logf("run with its audit: at most %d of %d MiB", most>>20, limit>>20); err != nil || most > limit {
		t.Errorf("run with its audit: %d bytes, %v", most, err)
	}
	projector.stop(t)
	bounded("refold", "--account", someone)
	bounded("verify", "--account", someone)
}
