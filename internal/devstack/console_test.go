package devstack_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// checkConsole opens the console where devstack says that it is, acts by it, and leaves a
// page open that follows: it must not hold up the end.
func checkConsole(t *testing.T, r *running) {
	t.Helper()
	if r.console == "" {
		t.Fatal("no line says where the console is")
	}
	eventually(t, "the console's overview", func() error {
		var v struct{ Position uint64 }
		return asked(http.Get(r.console + "api/overview"))(func(body []byte) error {
			if err := json.Unmarshal(body, &v); err != nil || v.Position == 0 {
				return fmt.Errorf("position %d, %v: %s", v.Position, err, body)
			}
			return nil
		})
	})
	for _, act := range []string{"pause", "resume"} {
		err := asked(http.Post(r.console+"api/acts/"+act, "application/json", strings.NewReader("{}")))(func(body []byte) error {
			if !strings.Contains(string(body), `"failed":""`) {
				return fmt.Errorf("%s", body)
			}
			return nil
		})
		if err != nil {
			t.Errorf("%s by the console: %v", act, err)
		}
	}
	open, err := http.Get(r.console + "events?topic=overview")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { open.Body.Close() })
	if kind := open.Header.Get("Content-Type"); kind != "text/event-stream" {
		t.Errorf("what the page follows is %s, with status %d", kind, open.StatusCode)
	}
}

// asked judges the body of an answer that has to be a good one.
func asked(resp *http.Response, err error) func(judge func([]byte) error) error {
	return func(judge func([]byte) error) error {
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err == nil && resp.StatusCode >= 300 {
			err = fmt.Errorf("status %d: %s", resp.StatusCode, body)
		}
		if err != nil {
			return err
		}
		return judge(body)
	}
}
