package importer

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestWhatIsWrongWithAnInputIsNamed: of the input as a whole no line is said to be wrong.
func TestWhatIsWrongWithAnInputIsNamed(t *testing.T) {
	in := increments(0, 5, 1)
	whole := gzipped(t, in)
	damaged := []byte(whole)
	damaged[len(damaged)-6] ^= 1
	for name, tc := range map[string]struct {
		in, want string
		ofLine   bool
	}{
		"zeros behind gzip":         {whole + strings.Repeat("\x00", 64), "behind its end are bytes that are none", false},
		"text behind gzip":          {whole + "and more than a header", "behind its end are bytes that are none", false},
		"gzip that is cut off":      {whole[:len(whole)-9], "it was cut off", false},
		"gzip that is damaged":      {string(damaged), "its checksum is of another content", false},
		"a byte order mark":         {"\ufeff" + in, "byte order mark", true},
		"a space that JSON has not": {in + "\u00a0" + increment(5, 1), "found no JSON", true},
		"two objects in a line":     {increment(0, 1) + increment(1, 1), "behind the object", true},
	} {
		_, err := Check(deadline(t), strings.NewReader(tc.in), Options{})
		lines := errors.As(err, new(*LinesError)) || errors.As(err, new(*LineError))
		if err == nil || !strings.Contains(err.Error(), tc.want) || lines != tc.ofLine {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestALastLineWithoutAnEndMayGetOne, and be followed by others, whose numbers are right;
// what is added to the line itself is refused.
func TestALastLineWithoutAnEndMayGetOne(t *testing.T) {
	for _, twice := range []bool{true, false} {
		c, _ := provisioned(t)
		opt := Options{Progress: progressPath(t)}
		in := strings.TrimSuffix(increments(0, 20, 3), "\n")
		run := func(in string) error {
			_, err := Run(deadline(t), c, inline(in), twice, opt)
			return err
		}
		if err := run(in); err != nil {
			t.Fatal(err)
		}
		if err := run(in + increment(20, 3)); err == nil || !strings.Contains(err.Error(), "line 20 (byte ") || !strings.Contains(err.Error(), "want a line's end there") {
			t.Errorf("%v: glued to it: %v", twice, err)
		}
		if err := run(in + "\n" + increment(20, 3) + "\nwrong"); err == nil || !strings.Contains(err.Error(), "line 22 (byte ") {
			t.Errorf("%v: a wrong line behind it: %v", twice, err)
		}
		if err := run(in + "\r\n"); twice && err != nil {
			t.Errorf("%v: a line's end alone: %v", twice, err)
		}
		if err := run(in + "\n" + increment(20, 3) + "\n"); err != nil {
			t.Errorf("%v: mended: %v", twice, err)
		}
		if diff := cmp.Diff(lineIDs(0, 21, 3), stored(t, c)); diff != "" {
			t.Errorf("%v: -want +got:\n%s", twice, diff)
		}
	}
}

// TestWaitingForAPipeEndsWithTheContext: for its opening, which waits for somebody who
// writes, and for what it brings.
func TestWaitingForAPipeEndsWithTheContext(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Skip("no named pipes here:", err)
	}
	silent, writer := io.Pipe()
	defer writer.Close()
	for name, open := range map[string]Source{
		"opening": func() (io.ReadCloser, error) { return os.Open(fifo) },
		"reading": func() (io.ReadCloser, error) { return silent, nil },
	} {
		c, _ := provisioned(t)
		path := progressPath(t)
		ctx, end := context.WithCancel(deadline(t))
		ended := make(chan error, 2)
		go func() {
			in, err := Interruptible(ctx, open)()
			if err == nil {
				_, err = Check(ctx, in, Options{})
			}
			ended <- err
		}()
		go func() {
			_, err := Run(ctx, c, Interruptible(ctx, open), false, Options{Progress: path})
			ended <- err
		}()
		for {
			if _, err := os.Stat(path); err == nil {
				break
			}
		}
		end()
		for range 2 {
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s: an empty progress file is left", name)
		}
	}
	// Whoever waits to open it still is let go.
	if w, err := os.OpenFile(fifo, os.O_WRONLY|syscall.O_NONBLOCK, 0); err == nil {
		w.Close()
	}
}

// TestTheProgressFileIsWrittenIntoNobodysFile: a link that somebody has put where its new
// version is written is not followed.
func TestTheProgressFileIsWrittenIntoNobodysFile(t *testing.T) {
	c, _ := provisioned(t)
	path, other := progressPath(t), filepath.Join(t.TempDir(), "other")
	if err := os.WriteFile(other, []byte("somebody's"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(other, path+".new"); err != nil {
		t.Fatal(err)
	}
	if _, err := Run(deadline(t), c, inline(increments(0, 5, 1)), true, Options{Progress: path}); err != nil {
		t.Fatal(err)
	}
	if got := read(t, other); got != "somebody's" {
		t.Errorf("it holds %q", got)
	}
}
