package e2e

import (
	"slices"
	"strings"
	"testing"

	"accountexport/internal/local/testrun"
)

// screenPaths are the screens that every walk has to come past; the rest it finds.
var screenPaths = []string{"/", "/accounts", "/accounts/*", "/parked", "/parked/*", "/generations", "/generations/*", "/stream", "/erasures", "/audit", "/jobs/*", "/accounts/*/erase"}

// TestConsoleInBrowser is a day of somebody before the console in a real Chromium: without
// rights every act is refused. With them projecting is paused and resumed by the keyboard, what
// a bad deploy has parked is mended, a user's question is answered by the timeline, a rebuild
// is watched and cut over to, and an account is erased up to its receipt. In the end each
// kind of page there is can be read and reached by anybody, and is harmless whatever it shows.
func TestConsoleInBrowser(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.startProjector(t)
	w := newWorld(t, s)
	s.waitProjected(t)
	o := s.atConsole(t, nil)
	o.isRefused(t, []string{"pause", "resume", "refold", "erase", "parked-retry", "parked-dismiss", "parked-undismiss", "rebuild", "compare", "cutover",
		"rollback", "generation-drop", "rebuild-end"})

	o.console.stop(t)
	o.url, o.console = s.startConsole(t, map[string]string{"CONSOLE_ADDR": strings.TrimPrefix(o.url, "http://")}, "--allow-acts")
	o.skips(t)
	o.pausesByKeyboard(t)
	o.keepsWhatIsWritten(t)
	o.mendsABadDeploy(t, w)
	o.answersAQuestion(t, w)
	o.rebuilds(t)
	o.erases(t, w)

	megabyte := s.publishHostile(t)
	s.waitProjected(t)
	privacies := []string{"full"} // where there is most to be shown
	if testrun.Long() {
		privacies = append(privacies, "masked")
	}
	for _, privacy := range privacies {
		o.console.stop(t)
		o.url, o.console = s.startConsole(t, map[string]string{"CONSOLE_ADDR": strings.TrimPrefix(o.url, "http://"), "CONSOLE_PRIVACY": privacy}, "--allow-acts")
		o.open(t, "/accounts/"+hostileAccount)
		if privacy == "full" {
			o.sees(t, "<script data-hostile>", "javascript:window.pwned=5")
		} else {
			o.seesNot(t, "javascript:window.pwned=5")
		}
		o.walks(t, megabyte)
	}
}

// walks comes past every kind of page there is, beginning at the hostile account, which is
// open, so that it is what each shows. All are harmless, and all can be read and reached by
// anybody.
func (o *operator) walks(t *testing.T, megabyte uint64) {
	t.Helper()
	o.click(t, "Verify against the stream")
	job := o.located(t, "/jobs/.*")
	kinds := o.screensOf(t, append(hostilePaths(megabyte), job, "/no-such-page", "/"), func(kind string) {
		o.harmless(t, kind)
		if testrun.Long() || !strings.ContainsAny(kind, "?%") { // what is asked for changes little
			o.accessible(t, kind)
		}
	})
	t.Logf("there are %d kinds of pages", len(kinds))
	for _, path := range screenPaths {
		if !slices.Contains(kinds, path) {
			t.Errorf("no link leads to %s", path)
		}
	}
}
