package e2e

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"accountexport/internal/local/postgres"
	"accountexport/internal/local/testrun"
)

// services stand in for systemd: units that start real programs with the settings of their files,
// and the commands systemctl and journalctl, as far as doc/runbook.md has them. They start nothing
// again by themselves.
type services struct {
	dir string // of settings, and of the two commands
	mu  sync.Mutex
	all map[string]*service
}

// service is a unit.
type service struct {
	program  string // its file
	args     []string
	settings string // the file of its settings
	process  *process
	log      *lockedBuffer
	start    func() error // of a server that is no program of ours; nil otherwise
}

// newServices makes the two commands in a folder of their own.
func newServices(t *testing.T) *services {
	t.Helper()
	testrun.Tool(t, "curl", "apt-get install curl")
	dir, err := os.MkdirTemp("", "units-") // the path of a socket has to be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	u := &services{dir: dir, all: map[string]*service{}}
	socket := filepath.Join(dir, "socket")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(u.serve), ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() {
		server.Close()
		for _, s := range u.all {
			if s.process != nil {
				s.process.kill()
			}
		}
	})
	for _, name := range []string{"systemctl", "journalctl"} {
		script := fmt.Sprintf("#!/bin/sh\nexec curl -sS --fail-with-body --unix-socket %s -d \"$*\" http://units/%s\n", socket, name)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return u
}

// add adds a unit of one of our programs.
func (u *services) add(t *testing.T, name, program string, settings map[string]string, args ...string) {
	t.Helper()
	var b strings.Builder
	for k, v := range settings {
		fmt.Fprintf(&b, "%s='%s'\n", k, v)
	}
	file := filepath.Join(u.dir, strings.TrimPrefix(name, "accountexport-")+".env")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	u.all[name] = &service{program: binary(t, program), args: args, settings: file, log: &lockedBuffer{}}
}

// serve answers the commands.
func (u *services) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	act := u.systemctl
	if r.URL.Path == "/journalctl" {
		act = u.journalctl
	}
	out, err := act(strings.Fields(string(body)))
	if err != nil {
		w.WriteHeader(http.StatusConflict)
		out += err.Error() + "\n"
	}
	_, _ = io.WriteString(w, out)
}

// systemctl is `systemctl ACT [--flag] UNIT…`.
func (u *services) systemctl(args []string) (out string, err error) {
	signal := syscall.SIGTERM
	for i, name := range args {
		if i == 0 || strings.HasPrefix(name, "-") {
			if name == "--signal=SIGKILL" {
				signal = syscall.SIGKILL
			}
			continue
		}
		s := u.all[name]
		if s == nil {
			return out, fmt.Errorf("Unit %s.service could not be found.", name) //nolint:staticcheck // systemd's words
		}
		switch args[0] {
		case "start":
			err = s.begin()
		case "stop":
			s.end(syscall.SIGTERM)
		case "restart":
			s.end(syscall.SIGTERM)
			err = s.begin()
		case "kill":
			s.end(signal)
		case "reset-failed":
		case "show":
			out += s.show()
		default:
			err = fmt.Errorf("Unknown command verb %s.", args[0]) //nolint:staticcheck // systemd's words
		}
		if err != nil {
			return out, err
		}
	}
	return out, nil
}

// journalctl is `journalctl -u UNIT -n LINES --no-pager -o cat`.
func (u *services) journalctl(args []string) (string, error) {
	var s *service
	lines := 10
	for i := 0; i+1 < len(args); i++ {
		switch args[i] {
		case "-u":
			s = u.all[args[i+1]]
		case "-n":
			if _, err := fmt.Sscan(args[i+1], &lines); err != nil {
				return "", err
			}
		}
	}
	if s == nil {
		return "", fmt.Errorf("-- No entries -- for %v", args)
	}
	all := strings.SplitAfter(strings.TrimRight(s.log.tail(1<<16), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "") + "\n", nil
}

func (s *service) running() bool { return s.process != nil && len(s.process.done) == 0 }

// begin starts the unit with what its settings are by now.
func (s *service) begin() error {
	if s.start != nil {
		return s.start()
	}
	if s.running() {
		return nil
	}
	file, err := os.Open(s.settings)
	if err != nil {
		return err
	}
	defer file.Close()
	settings := map[string]string{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), "=")
		settings[name] = strings.Trim(value, `"'`)
	}
	s.process, err = spawn(s.program, settings, s.log, s.args...)
	return err
}

// end ends the process; one that a signal does not end within ten seconds is killed, as systemd does.
func (s *service) end(signal syscall.Signal) {
	if !s.running() {
		return
	}
	s.process.signal(signal)
	hung := time.AfterFunc(10*time.Second, func() { _ = s.process.cmd.Process.Kill() })
	defer hung.Stop()
	s.process.wait()
}

// show is what `systemctl show` prints of state and exit status.
func (s *service) show() string {
	state, status := "inactive", 0
	switch {
	case s.running():
		state = "active"
	case s.process != nil:
		if status = s.process.wait(); status < 0 {
			status = int(s.process.cmd.ProcessState.Sys().(syscall.WaitStatus).Signal())
		}
		if status != 0 {
			state = "failed"
		}
	}
	return fmt.Sprintf("ExecMainStatus=%d\nActiveState=%s\n", status, state)
}

// onCall is somebody on call, at a machine that runs everything as doc/runbook.md assumes.
type onCall struct {
	*system
	*services
	dir       string // where commands are run
	prelude   string // the commands that come before all others
	addresses map[string]string
	account   string
	login     string // the projector's DATABASE_URL
}

// newOnCall has the projector and, where it is asked for, its own database server, the API and the
// relay as units that do not run yet.
func newOnCall(t *testing.T, s *system, units ...string) *onCall {
	t.Helper()
	o := &onCall{system: s, services: newServices(t), dir: t.TempDir(), account: someone,
		addresses: map[string]string{"8080": freeAddr(t), "9091": freeAddr(t), "9092": freeAddr(t), "9095": freeAddr(t)}}
	s.settings["ADMIN_ADDR"] = o.addresses["9091"]
	o.login = projectorLogin(t, s)
	settings := maps.Clone(s.settings) // as the packages have them: the outbox is in the relay's
	settings["DATABASE_URL"] = o.login
	delete(settings, "OUTBOX_DATABASE_URL")
	o.add(t, "accountexport-projector", "projector", settings, "run")
	for _, unit := range units {
		switch unit {
		case "api":
			o.add(t, "accountexport-api", "api", map[string]string{"DATABASE_URL": s.database, "HTTP_ADDR": o.addresses["8080"], "ADMIN_ADDR": o.addresses["9092"],
				"JWT_ISSUER": issuer, "JWT_SECRET": jwtSecret, "LOG_FORMAT": "text"})
		case "relay":
			o.add(t, "accountexport-relay", "projector", map[string]string{"DATABASE_URL": s.database, "OUTBOX_DATABASE_URL": s.settings["OUTBOX_DATABASE_URL"],
				"NATS_URL": s.settings["NATS_URL"], "ADMIN_ADDR": o.addresses["9095"], "LOG_FORMAT": "text"}, "relay")
		case "postgresql":
			o.all[unit] = &service{start: func() error { return s.pg.Restart(context.WithoutCancel(t.Context())) }}
		}
	}
	return o
}

// projectorLogin makes the projector a login as doc/operating.md does, and returns its URL, with what
// neither a shell nor psql takes as it stands.
func projectorLogin(t *testing.T, s *system) string {
	t.Helper()
	u, err := url.Parse(s.database)
	if err != nil {
		t.Fatal(err)
	}
	role := "projector_of_" + strings.Trim(u.Path, "/")
	role = role[:min(len(role), 60)]
	if _, err := s.pool.Exec(t.Context(), "CREATE ROLE "+role+" LOGIN PASSWORD 'pa$word' IN ROLE accountexport_projector"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = s.pool.Exec(context.Background(), "DROP ROLE "+role) })
	u.User = url.UserPassword(role, "pa$word")
	q := u.Query()
	q.Set("pool_max_conn_lifetime", "1h")
	q.Set("application_name", "accountexport projector")
	u.RawQuery = q.Encode()
	return u.String()
}

// unit is a unit, for what happens to it beside the commands of the runbook.
func (o *onCall) unit(name string) *service {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all[name]
}

// systemdDoes runs systemctl as something else than the runbook does.
func (o *onCall) systemdDoes(t *testing.T, args ...string) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if out, err := o.systemctl(args); err != nil {
		t.Fatalf("systemctl %v: %v: %s", args, err, out)
	}
}

// sh runs commands of the runbook.
func (o *onCall) sh(t *testing.T, text string) (out string, err error) {
	t.Helper()
	binaries, failed := postgres.Binaries()
	postgres.Check(t, failed)
	text = o.prelude + text
	for port, address := range o.addresses {
		text = strings.ReplaceAll(text, "localhost:"+port, address)
	}
	text = strings.ReplaceAll(text, "/etc/accountexport/", o.services.dir+"/")
	ctx, cancel := context.WithTimeout(t.Context(), patience(3*time.Minute))
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-uc", text)
	cmd.WaitDelay = 10 * time.Second
	cmd.Dir = o.dir
	cmd.Env = []string{"PATH=" + o.services.dir + ":" + filepath.Dir(o.projector(t)) + ":" + filepath.Dir(binary(t, "api")) + ":" + binaries + ":" + os.Getenv("PATH"), "HOME=" + o.dir,
		"ADMIN_DATABASE_URL=" + o.database, "ACCOUNT=" + o.account, "TOKEN=" + mintToken(t, uuid(t, someone))}
	var b bytes.Buffer
	cmd.Stdout, cmd.Stderr = &b, &b
	err = cmd.Run()
	return b.String(), err
}
