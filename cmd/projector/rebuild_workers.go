package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"accountexport/internal/acts"
	"accountexport/projections/engine"
)

// maxWorkers is more than there are partitions for.
const maxWorkers = 64

// workerReport is what a worker tells the rebuild that has started it, a line of JSON on
// its standard output for each.
type workerReport struct {
	Undelivered engine.Ranges `json:"undelivered,omitempty"` // what the server has skipped
	Fenced      string        `json:"fenced,omitempty"`      // the partitions are another program's
}

// workerGrace is how long a worker has to end once its rebuild wants that.
const workerGrace = 15 * time.Second

// startWorker starts this program once more, with the same arguments and settings, as a
// worker of this rebuild. It is given its task on its standard input, and ends when that
// is closed: by this program, or by the system where this program is no more.
func (p *program) startWorker(ctx context.Context, task acts.WorkerTask, onUndelivered func(engine.Ranges)) (wait func() error, err error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program, append(os.Args[1:len(os.Args):len(os.Args)], "--worker")...)
	cmd.Args[0] = os.Args[0]
	cmd.Stderr = p.err
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a worker: %w", err)
	}
	ended := context.AfterFunc(ctx, func() {
		_ = in.Close()
		time.AfterFunc(workerGrace, func() { _ = cmd.Process.Kill() })
	})
	sent := json.NewEncoder(in).Encode(task)
	return func() error {
		defer ended()
		fenced, read := readReports(out, onUndelivered)
		err := cmd.Wait()
		switch {
		case err == nil && fenced != "":
			return fmt.Errorf("%w: %s", engine.ErrFenced, fenced)
		case err != nil:
			return fmt.Errorf("worker %d: %w", cmd.Process.Pid, err)
		}
		return errors.Join(sent, read)
	}, nil
}

// readReports reads what a worker tells until it has ended. What it has told counts
// however it has ended.
func readReports(out io.Reader, onUndelivered func(engine.Ranges)) (fenced string, err error) {
	lines := json.NewDecoder(out)
	for {
		var r workerReport
		if err := lines.Decode(&r); errors.Is(err, io.EOF) {
			return fenced, nil
		} else if err != nil {
			_, _ = io.Copy(io.Discard, out) // so that it is not kept from ending
			return fenced, fmt.Errorf("what a worker has told: %w", err)
		}
		if len(r.Undelivered) > 0 {
			onUndelivered(r.Undelivered)
		}
		if r.Fenced != "" {
			fenced = r.Fenced
		}
	}
}

// errWorkerTold ends a worker whose rebuild wants that, or is no more.
var errWorkerTold = errors.New("the rebuild has ended")

// work is a worker of a rebuild, which tells its task on standard input.
func (p *program) work(ctx context.Context, workers int, spool int64) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	in := bufio.NewReader(p.in)
	line, err := in.ReadBytes('\n')
	var task acts.WorkerTask
	if err == nil {
		err = json.Unmarshal(line, &task)
	}
	if err != nil {
		return fmt.Errorf("--worker is for `projector rebuild --workers` itself, which tells a worker what to do: %w", err)
	}
	go func() { // the read ends with the process, at the latest
		_, _ = io.Copy(io.Discard, in)
		end(errWorkerTold)
	}()
	err = p.workOn(ctx, task, workers, spool)
	if errors.Is(context.Cause(ctx), errWorkerTold) {
		return nil // the rebuild says why
	}
	return err
}

// workOn carries out the task of a worker.
func (p *program) workOn(ctx context.Context, task acts.WorkerTask, workers int, spool int64) error {
	log := p.logger(p.err)
	client, err := p.connectReader(ctx, log)
	if err != nil {
		return err
	}
	defer client.Close()
	r, err := p.makeRebuilder(ctx, client, "rebuild", log)
	if err != nil {
		return err
	}
	defer closePools(r)
	r.Spool = spool
	p.share(r, workers)
	if _, err := r.Ready(ctx); err != nil {
		return err
	}
	defer r.Close(ctx)
	err = r.Work(ctx, task, func(skipped engine.Ranges) error { return p.printJSON(workerReport{Undelivered: skipped}) })
	if errors.Is(err, engine.ErrFenced) {
		return p.printJSON(workerReport{Fenced: err.Error()})
	}
	return err
}

// divide divides what this program may use among so many that build together.
func (p *program) divide(workers int) error {
	if err := p.cfg.Divide(workers); err != nil {
		return fmt.Errorf("--workers is %d: %w", workers, err)
	}
	p.limitMemory()
	return nil
}

// share gives a rebuild its share of the cores and of the disk, where so many programs
// build together.
func (p *program) share(r *acts.Rebuilder, workers int) {
	if p.cfg.Lanes == 0 {
		r.Engine.Lanes = max(1, r.Engine.Lanes/workers)
		r.Engine.Batch.Bytes = int(p.cfg.BatchBytes) / r.Engine.Lanes
	}
	r.Workers, r.StartWorker = workers, p.startWorker
	r.Spool /= int64(workers)
}
