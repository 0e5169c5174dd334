package importer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"accountexport/internal/ingest"
	"accountexport/internal/stream"
)

// Options say what is imported, and how.
type Options struct {
	Name     string // of the input, for people
	Progress string // name of the progress file
	Park     bool   // publish what the decoder would park, too

	Lines int // of a window at most; default 8192
	Bytes int // of it, unless it is one line; default 8 MiB

	// Grace is how long a window may take to be finished once ctx has ended;
	// default 8 s.
	Grace time.Duration

	// ProgressTimeout is how long nothing may be acknowledged; default 2 min.
	ProgressTimeout time.Duration

	OnProgress func(Status) // default: nobody is told
	Logger     *slog.Logger // default: slog.Default()

	read *atomic.Int64 // bytes of the input, as they are stored, that were read
}

// Phase is what an import is doing.
type Phase string

// They come in this order; what comes through a pipe is not checked first.
const (
	Checking   Phase = "checking"
	Publishing Phase = "publishing"
)

// Status is how far it is.
type Status struct {
	Phase Phase
	Lines int64 // with events, that this run has checked, or published
	Read  int64 // bytes of the input, as they are stored
}

// Summary is what came of an import, earlier runs included.
type Summary struct {
	Lines     int64  // with events
	Published int64  // by this import
	Found     int64  // of them that the stream held already
	Erased    int64  // of them that were left out, since their accounts are erased
	Parked    int64  // of those in the stream that the decoder parks
	Last      uint64 // the highest position of them
	Before    int64  // lines of the input that earlier runs had done
	Done      int64  // lines of the input that are done
}

// Source opens the input, from its start.
type Source func() (io.ReadCloser, error)

// Interruptible is a source whose opening and reading end with ctx, as those of pipes
// do not by themselves. What was read and is not consumed by then is lost.
func Interruptible(ctx context.Context, open Source) Source {
	return func() (io.ReadCloser, error) {
		r, w := io.Pipe()
		go func() {
			in, err := open()
			if err == nil {
				_, err = io.Copy(w, in)
				in.Close()
			}
			w.CloseWithError(err) // nil: the end
		}()
		context.AfterFunc(ctx, func() { w.CloseWithError(ctx.Err()) })
		return r, nil
	}
}

// Run imports. Where the input can be opened twice, it is checked whole before
// anything of it is published: a [*LinesError] means that nothing was. Otherwise a
// [*LineError] means that all lines before it are published. With other errors, too,
// the summary says up to which line all is done, and the same call goes on there;
// where ctx has ended, the error is its own.
func Run(ctx context.Context, client *stream.Client, open Source, twice bool, opt Options) (sum Summary, err error) {
	opt = opt.defaults()
	file, err := openProgress(opt.Progress)
	if err != nil {
		return sum, err
	}
	defer file.close()
	info, err := client.Info(ctx)
	if err != nil {
		return sum, err
	}
	if file.new {
		file.now = progress{Input: opt.Name, Stream: identityOf(info), Mark: info.Last}
	} else if err := file.now.checkStream(ctx, file.path, client, info); err != nil {
		return sum, err
	}
	intake, err := client.Intake(ctx)
	if err != nil {
		return sum, err
	}
	r := &importRun{limits: limits{intake.MaxMessage, intake.Setting}, opt: opt, client: client, file: file, before: file.now.Done.Lines,
		publisher: ingest.New(client, ingest.Options{SkipErased: true, ProgressTimeout: opt.ProgressTimeout, Logger: opt.Logger})}
	if twice {
		if err := r.check(ctx, open); err != nil {
			return r.summary(), err
		}
	}
	err = r.publish(ctx, open)
	return r.summary(), err
}

func (opt Options) defaults() Options {
	if opt.Lines <= 0 {
		opt.Lines = 8192
	}
	if opt.Bytes <= 0 {
		opt.Bytes = 8 << 20
	}
	if opt.Grace <= 0 {
		opt.Grace = 8 * time.Second
	}
	if opt.ProgressTimeout <= 0 {
		opt.ProgressTimeout = 2 * time.Minute
	}
	if opt.Logger == nil {
		opt.Logger = slog.Default()
	}
	return opt
}

// importRun is one import.
type importRun struct {
	opt       Options
	client    *stream.Client
	publisher *ingest.Publisher
	file      *progressFile
	limits    limits
	checked   *place // up to where the input was checked before; nil: it is checked as it comes
	before    int64
	lines     int64 // that this run has published
}

func (r *importRun) summary() Summary {
	p := r.file.now
	return Summary{Lines: p.Published + p.Found + p.Erased, Published: p.Published, Found: p.Found, Erased: p.Erased, Parked: p.Parked, Last: p.Last, Before: r.before, Done: p.Done.Lines}
}

// check judges all that is left.
func (r *importRun) check(ctx context.Context, open Source) error {
	in, err := open()
	if err != nil {
		return err
	}
	defer in.Close()
	opt := r.opt
	opt.read = new(atomic.Int64)
	l, err := newLineReader(opt.counted(in))
	if err != nil {
		return err
	}
	_, err = opt.check(ctx, l, r.file.now, r.limits)
	end := l.position()
	r.checked = &end
	return r.fits(err)
}

// fits says what to do where the progress file is of another input.
func (r *importRun) fits(err error) error {
	if errors.Is(err, ErrOtherInput) {
		return fmt.Errorf("%w. Nothing was published. %s is of %s, up to line %d: to go on with that, give it as it was; to publish an input of "+
			"other events, name another file with --progress, by which what both have is published twice", err, r.file.path, r.file.now.Input, r.file.now.Done.Lines)
	}
	return err
}

// publish publishes window by window what is left.
func (r *importRun) publish(ctx context.Context, open Source) error {
	in, err := open()
	if err != nil {
		return err
	}
	opt := r.opt
	opt.read = new(atomic.Int64)
	reading, stop := context.WithCancel(ctx)
	windows := make(chan batch, 1) // one is read while the one before it is published
	reader := make(chan struct{})
	from := r.file.now // as it is before the first window moves it on
	go func() {
		defer close(reader)
		defer close(windows)
		opt.readWindows(reading, in, from, r.limits, r.checked, windows)
	}()
	defer func() {
		stop()
		in.Close()
		if ctx.Err() == nil {
			<-reader // who is asked to end does not wait for what a pipe may never bring
		}
	}()
	for ctx.Err() == nil {
		select {
		case b, more := <-windows:
			if !more {
				return r.noted(ctx.Err())
			}
			if r.lines == 0 {
				opt.progress(Publishing, 0)
			}
			if err := r.window(ctx, b); err != nil {
				return err
			}
			opt.progress(Publishing, r.lines)
		case <-ctx.Done():
		}
	}
	return r.noted(ctx.Err())
}

// noted writes down what is done.
func (r *importRun) noted(err error) error {
	if r.file.new && r.lines == 0 && err != nil {
		return err // nothing is
	}
	return errors.Join(err, r.file.write())
}

func (opt Options) progress(phase Phase, lines int64) {
	if opt.OnProgress != nil {
		opt.OnProgress(Status{phase, lines, opt.read.Load()})
	}
}
