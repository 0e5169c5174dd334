package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"accountexport/internal/workload"
)

// TestConsoleRebuildsAsTheCommandsDo: a rebuild of the console's ends soundly with the program
// that serves it, `projector rebuild --cutover=manual` completes it, and the console, started
// again, makes it live and goes back, as `projector cutover` and `rollback` do.
func TestConsoleRebuildsAsTheCommandsDo(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.startProjector(t)
	s.mustPublish(t, workload.New(34, workload.Config{Accounts: 20}), 2500)
	s.waitProjected(t)
	serve := func() (console *process, act func(name, fields string)) {
		t.Helper()
		settings := map[string]string{"CONSOLE_ADDR": freeAddr(t)}
		for k, v := range s.settings {
			settings[k] = v
		}
		console = launch(t, "projector", settings, "console", "--allow-acts")
		url := "http://" + settings["CONSOLE_ADDR"]
		eventually(t, "the console to be connected", time.Minute, func(ctx context.Context) error {
			status, _, body, err := get(ctx, url+"/generations", "")
			if err == nil && status != http.StatusOK {
				err = fmt.Errorf("%d: %s", status, body)
			}
			return err
		})
		return console, func(name, fields string) {
			t.Helper()
			eventually(t, name+" to begin, once what was done before has ended", time.Minute, func(ctx context.Context) error {
				r, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/api/acts/"+name, strings.NewReader(fields))
				if err != nil {
					return err
				}
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				status, _, body, err := do(r)
				if err == nil && status >= 300 {
					err = fmt.Errorf("%d: %s", status, body)
				}
				return err
			})
		}
	}
	states := func(want string) {
		t.Helper()
		eventually(t, "the generations to be "+want, time.Minute, func(ctx context.Context) error {
			var have string
			err := s.pool.QueryRow(ctx, `SELECT string_agg(generation || ' ' || state, ', ' ORDER BY generation) FROM export.generations`).Scan(&have)
			if err == nil && have != want {
				err = errors.New(have)
			}
			return err
		})
	}
	console, act := serve()
	act("rebuild", "max_rate=300")
	states("1 live, 2 building")
	console.signal(syscall.SIGTERM)
	console.mustExit(t, 0)
	s.mustRun(t, 0, "generation 2 is ready", "rebuild", "--cutover=manual")
	_, act = serve()
	act("cutover", "generation=2&confirm=2")
	states("1 retired, 2 live")
	act("rollback", "generation=1&confirm=1")
	states("1 live, 2 retired")
	act("generation-drop", "generation=2&confirm=2")
	states("1 live")
}
