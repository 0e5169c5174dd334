package natsserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"time"

	"accountexport/internal/local/port"
)

// serveVariable is the environment variable by which [StartProcess] tells the program
// that it starts to be a server, and with which options.
const serveVariable = "ACCOUNTEXPORT_NATS_SERVER"

// ServeIfAsked turns this program into a NATS server, and does not return, if it was
// started by [StartProcess]. A program that calls StartProcess without a Program
// calls it first:
//
//	func TestMain(m *testing.M) { natsserver.ServeIfAsked(); os.Exit(m.Run()) }
func ServeIfAsked() {
	text := os.Getenv(serveVariable)
	if text == "" {
		return
	}
	if err := serve([]byte(text)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// serve runs a server until the starting process ends: however that happens, the
// other end of standard input is closed.
func serve(options []byte) error {
	var opt Options
	if err := json.Unmarshal(options, &opt); err != nil {
		return fmt.Errorf("nats: %s: %w", serveVariable, err)
	}
	s, err := Start(opt)
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	s.Halt()
	return nil
}

// Process is a NATS server in a process of its own, which can be killed. Its methods are
// for one goroutine.
type Process struct {
	opt   Options
	cmd   *exec.Cmd // nil while it is stopped
	stdin io.Closer
	ended chan struct{}
}

// StartProcess starts a server as a process of Options.Program, by default the
// running program (see [ServeIfAsked]), and returns once it accepts connections.
// Options.Dir is required: a killed server starts again from what it has written
// there.
func StartProcess(ctx context.Context, opt Options) (*Process, error) {
	if opt.Dir == "" {
		return nil, errors.New("nats: a server process needs a folder")
	}
	if opt.Port == 0 {
		listen, err := port.Free()
		if err != nil {
			return nil, fmt.Errorf("nats: %w", err)
		}
		opt.Port = listen
	}
	p := &Process{opt: opt}
	return p, p.Restart(ctx)
}

// URL is the address for clients, the same after a restart.
func (p *Process) URL() string { return "nats://" + p.Addr() }

// Addr is the same without the scheme.
func (p *Process) Addr() string { return "127.0.0.1:" + strconv.Itoa(p.opt.Port) }

// Name is the server's name.
func (p *Process) Name() string { return p.opt.Name }

// Pid is the running process's number.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Dir is the folder of the data.
func (p *Process) Dir() string { return p.opt.Dir }

// Halt has the process stop in an orderly way, by closing its standard input, waits for
// its end, and keeps its data for Restart.
func (p *Process) Halt() {
	if p.cmd == nil {
		return
	}
	p.stdin.Close()
	<-p.ended
	p.cmd = nil
}

// Kill ends the process with SIGKILL, like a crash, waits for its end, and keeps its
// data for Restart.
func (p *Process) Kill() {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Kill()
	<-p.ended
	p.stdin.Close()
	p.cmd = nil
}

// Restrict restarts the process with other [Options.Denied].
func (p *Process) Restrict(ctx context.Context, denied ...string) error {
	p.Halt()
	p.opt.Denied = denied
	return p.Restart(ctx)
}

// Reconfigure restarts the process with another [Options.Config].
func (p *Process) Reconfigure(ctx context.Context, config string) error {
	p.Halt()
	p.opt.Config = config
	return p.Restart(ctx)
}

// Restart starts the process again on the same ports and data, after ending it if it
// is running.
func (p *Process) Restart(ctx context.Context) error {
	p.Kill()
	program := p.opt.Program
	if program == "" {
		var err error
		if program, err = os.Executable(); err != nil {
			return fmt.Errorf("nats: %w", err)
		}
	}
	options, err := json.Marshal(p.opt)
	if err != nil {
		return fmt.Errorf("nats: %w", err)
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), serveVariable+"="+string(options))
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("nats: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("nats: %w", err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	p.cmd, p.stdin, p.ended = cmd, stdin, ended
	return p.await(ctx)
}

func (p *Process) await(ctx context.Context) error {
	for {
		conn, err := net.DialTimeout("tcp", p.Addr(), time.Second)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-p.ended:
			return errors.New("nats: server ended at its start")
		case <-ctx.Done():
			p.Kill()
			return fmt.Errorf("nats: server does not accept connections: %w", ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}
