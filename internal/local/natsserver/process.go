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

// serveVariable tells a program that it was started by [StartProcess]: the
// options of the server that it shall be.
const serveVariable = "ACCOUNTEXPORT_NATS_SERVER"

// ServeIfAsked makes this program a NATS server where [StartProcess] of the
// same program started it, and does not return then. A program that calls
// StartProcess calls this first thing:
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

// serve runs a server until whoever started it is gone: however that ends, its
// end of our standard input is closed then.
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

// Process is a NATS server in a process of its own, which can be killed.
type Process struct {
	opt   Options
	cmd   *exec.Cmd
	stdin io.Closer
	ended chan struct{}
}

// StartProcess starts a server as a process of Options.Program, by default this
// same program, see [ServeIfAsked], and waits until it accepts connections.
// Options.Dir must be given: what a killed server has written is what it starts
// from again.
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

// URL is where clients connect, before and after a restart.
func (p *Process) URL() string { return "nats://" + p.Addr() }

// Addr is the same without the scheme.
func (p *Process) Addr() string { return "127.0.0.1:" + strconv.Itoa(p.opt.Port) }

// Name is the server's name.
func (p *Process) Name() string { return p.opt.Name }

// Dir is where the data is.
func (p *Process) Dir() string { return p.opt.Dir }

// Halt ends the process as an operator would, and waits until it is gone; its
// data stays, for Restart.
func (p *Process) Halt() {
	if p.cmd == nil {
		return
	}
	p.stdin.Close()
	<-p.ended
	p.cmd = nil
}

// Kill ends the process as a crash would, and waits until it is gone; its data
// stays, for Restart.
func (p *Process) Kill() {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Kill()
	<-p.ended
	p.stdin.Close()
	p.cmd = nil
}

// Restrict starts the process anew with [Options.Denied].
func (p *Process) Restrict(ctx context.Context, denied ...string) error {
	p.Halt()
	p.opt.Denied = denied
	return p.Restart(ctx)
}

// Reconfigure starts the process anew with another [Options.Config].
func (p *Process) Reconfigure(ctx context.Context, config string) error {
	p.Halt()
	p.opt.Config = config
	return p.Restart(ctx)
}

// Restart starts the process anew on the same ports and data.
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
