package ops

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Service is what systemd is told of a program that it runs with Type=notify.
type Service struct {
	Admin    *Server
	Listener net.Listener       // that Admin serves on
	Alive    func() error       // what is wrong with the program's own loop; nil: there is none to look at
	Stopping <-chan struct{}    // is closed when the program is asked to end
	Log      *slog.Logger       // receives what systemd could not be told
	notify   func(string) error // notifySystemd, or what a test has in its place
	untold   bool               // the last message was not taken, which was logged
}

const (
	notifyInterval = time.Second // how often it looks what to tell, unless the watchdog wants it sooner
	notifyTimeout  = time.Second // how long a message may wait to be taken
	loopSilence    = 15 * time.Minute
)

// LoopAlive is what [Service.Alive] says of a loop that last turned at a time, which is zero
// where it has not begun. A loop turns while servers are away, too: whatever it waits for of them
// has an end, and it tries again. The longest such wait is for a heartbeat that a database does
// not answer, which is given up after twice TAKEOVER_AFTER, so after ten minutes at most. A loop
// that has been silent for a quarter of an hour waits for itself.
func LoopAlive(turned time.Time) error {
	if !turned.IsZero() && time.Since(turned) > loopSilence {
		return errors.New("the program's loop has not turned for " + time.Since(turned).Round(time.Second).String())
	}
	return nil
}

// Run tells systemd until ctx ends, which has to be no sooner than the admin server's end: READY=1
// once the admin server answers, STATUS= with what /readyz says, WATCHDOG=1 while the program is alive, and
// STOPPING=1 when it is asked to end. Where no systemd listens it returns at once.
//
// The program is ready for systemd before it is ready for its readers: its settings are judged,
// its listeners open, and all else is waiting for servers. Were READY=1 sent no sooner than when
// these answer, systemd would kill a program that waits for them, which helps nobody.
//
// The watchdog is not a clock of its own: WATCHDOG=1 is sent once /livez has been asked over the
// program's socket and has answered, as a probe of Kubernetes asks it, and once the program's loop has turned. Neither
// depends on any server.
func (s *Service) Run(ctx context.Context) error {
	if s.notify == nil {
		if os.Getenv("NOTIFY_SOCKET") == "" {
			return nil
		}
		s.notify = notifySystemd
	}
	watchdog, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		s.Log.Warn("the watchdog of systemd is not served", "error", err)
	}
	interval := notifyInterval
	if watchdog > 0 {
		interval = min(interval, watchdog/4)
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	stopping, stopped, ready, last, dead := s.Stopping, false, false, "", ""
	for {
		err := s.alive(ctx)
		state := []string{}
		switch {
		case err == nil && watchdog > 0:
			s.send(daemon.SdNotifyWatchdog) // before the status, for which servers are asked
			dead = ""
		case err != nil && ctx.Err() == nil && err.Error() != dead && ready:
			dead = err.Error() // whoever finds it killed later finds this first
			s.Log.Error("systemd's watchdog is not told that the program is alive", "error", err)
		}
		up := ready || err == nil
		if up && !ready {
			state = append(state, daemon.SdNotifyReady)
		}
		status := s.status(ctx)
		if up && !stopped && status != last {
			state = append(state, "STATUS="+status)
		}
		if s.send(state...) { // otherwise it is told again
			ready, last = up, status
		}
		select {
		case <-ctx.Done():
			if !stopped { // it ended as soon as it was asked to, or by itself
				s.send(daemon.SdNotifyStopping, "STATUS=shutting down")
			}
			return nil
		case <-stopping:
			s.send(daemon.SdNotifyStopping, "STATUS=shutting down")
			stopping, stopped = nil, true
		case <-tick.C:
		}
	}
}

// alive asks the admin server over its socket, and the program's loop.
func (s *Service) alive(ctx context.Context) error {
	if err := Healthcheck(ctx, s.Listener.Addr().String()); err != nil {
		return err
	}
	if s.Alive != nil {
		return s.Alive()
	}
	return nil
}

// status is what /readyz says, in one line.
func (s *Service) status(ctx context.Context) string {
	ready, text := s.Admin.readiness(ctx)
	text = strings.ReplaceAll(strings.TrimSpace(text), "\n", "; ")
	if !ready {
		return "not ready: " + text
	}
	return text
}

// send tells whether systemd has taken a message, if there is one. That it has not is logged
// once, until it takes one again.
func (s *Service) send(state ...string) bool {
	if len(state) == 0 {
		return true
	}
	err := s.notify(strings.Join(state, "\n"))
	if err != nil && !s.untold {
		s.Log.Warn("systemd could not be told", "state", state[0], "error", err)
	}
	s.untold = err != nil
	return err == nil
}

// notifySystemd sends a message. It is daemon.SdNotify, but does not wait for ever for a
// receiver that takes nothing: the program could not end then.
func notifySystemd(state string) error {
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: os.Getenv("NOTIFY_SOCKET"), Net: "unixgram"})
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetWriteDeadline(time.Now().Add(notifyTimeout)); err != nil {
		return err
	}
	_, err = conn.Write([]byte(state))
	return err
}
