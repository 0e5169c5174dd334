package e2e

import (
	"fmt"
	"net"
	"net/http"
	"testing"

	"accountexport/internal/local/tcpproxy"
	"accountexport/internal/local/testrun"
	"accountexport/internal/workload"
)

// TestSuspendedServerIsPassedOver: of several servers in a URL the first accepts connections and says
// nothing, as one whose machine is suspended. Every program goes on to the next, and works there.
func TestSuspendedServerIsPassedOver(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	silent := tcpproxy.ForTest(t, s.databaseAddr())
	silent.Stall()
	c := s.pool.Config().ConnConfig
	url := fmt.Sprintf("postgres://%s@%s,%s/%s?sslmode=disable&target_session_attrs=read-write", c.User, silent.Addr(),
		net.JoinHostPort(c.Host, fmt.Sprint(c.Port)), c.Database)
	s.settings["DATABASE_URL"] = url
	s.startProjector(t)
	export, _ := startAPI(t, map[string]string{"DATABASE_URL": url})
	s.publishComplete(t, uuid(t, someone))
	s.mustPublish(t, workload.New(93, workload.Config{Accounts: 5}), 100)
	position := s.publishProfile(t, uuid(t, someone), "seen")
	waitAtPosition(t, export, mintToken(t, uuid(t, someone)), position)
	if status, _, body, err := get(t.Context(), export, mintToken(t, uuid(t, someone))); err != nil || status != http.StatusOK {
		t.Errorf("%d, %v: %s", status, err, body)
	}
	s.waitProjected(t)
	if !testrun.Long() { // each of its connections waits for the silent server first
		return
	}
	s.checkRun(t, 0, "", "provision")
	s.checkRun(t, 0, "is live", "rebuild")
	s.checkRun(t, 0, " 0 differ", "verify", "--all")
}
