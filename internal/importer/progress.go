package importer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"accountexport/projections/engine"
)

// format is the number of the progress file's.
const format = 1

// progress is what a progress file says.
type progress struct {
	Format int      `json:"format"`
	Input  string   `json:"input"` // for people
	Stream identity `json:"stream"`
	Mark   uint64   `json:"mark"` // the stream's last position before anything was published

	Done   place   `json:"done"`   // all before it is published
	Window *window `json:"window"` // what is being published; null: nothing
	Ahead  *ahead  `json:"ahead,omitempty"`

	Published int64     `json:"published"` // by this import
	Found     int64     `json:"found"`     // were there already
	Erased    int64     `json:"erased"`    // were left out, since their accounts are erased
	Parked    int64     `json:"parked"`    // of either, that the decoder parks
	Last      uint64    `json:"last"`      // the highest position of them
	Written   time.Time `json:"written"`

	LastMessage *message `json:"last_message,omitempty"` // which message is there
}

// message is one that a stream holds: by its position alone it cannot be told from
// another that a stream which was restored has there.
type message struct {
	Subject string `json:"subject"` // as published
	ID      digest `json:"id"`      // of its Nats-Msg-Id
}

// window is a part of the input: from where all is published up to a place.
type window struct {
	End   place  `json:"end"`
	After uint64 `json:"after"` // position that its messages are searched for behind
}

// identity is which stream.
type identity struct {
	Name    string    `json:"name"`
	Created time.Time `json:"created"`
	ID      string    `json:"id"`
}

func identityOf(info engine.StreamInfo) identity {
	return identity{info.Name, info.Created.UTC(), info.ID}
}

// progressFile is a progress file that nobody else uses meanwhile: each version
// of it is locked before it takes its name.
type progressFile struct {
	path string
	held *os.File
	now  progress
	new  bool // nothing was ever written
}

// ErrBusy means that somebody else uses the progress file.
var ErrBusy = errors.New("another import uses it right now")

// openProgress reads and locks a progress file, which it makes where there is
// none. A symbolic link is followed: replaced by the file, it would leave what it names
// as it was, for the next import to begin from.
func openProgress(name string) (*progressFile, error) {
	path, err := followed(name)
	if err != nil {
		return nil, fmt.Errorf("progress file: %w", err)
	}
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, fmt.Errorf("progress file: %w", err)
		}
		if err := lock(f); err != nil {
			f.Close()
			return nil, fmt.Errorf("progress file %s: %w", path, err)
		}
		mine, err := f.Stat()
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("progress file: %w", err)
		}
		if !mine.Mode().IsRegular() {
			f.Close()
			return nil, fmt.Errorf("progress file %s: found what is no plain file", path)
		}
		there, err := os.Stat(path)
		if err != nil || !os.SameFile(mine, there) {
			f.Close() // it was replaced, or removed, before it was locked
			continue
		}
		p := &progressFile{path: path, held: f}
		if err := p.read(); err != nil {
			f.Close()
			return nil, err
		}
		return p, nil
	}
}

// followed is the name of the file that symbolic links lead to, whether or not that
// file is there.
func followed(path string) (string, error) {
	for range 40 {
		to, err := os.Readlink(path)
		if err != nil {
			return path, nil // no link: what is wrong with it shows when it is opened
		}
		if !filepath.IsAbs(to) {
			dir, err := filepath.EvalSymlinks(filepath.Dir(path)) // a link's ".." is one of where it really is
			if err != nil {
				return "", err
			}
			to = filepath.Join(dir, to)
		}
		path = to
	}
	return "", fmt.Errorf("%s: found symbolic links that lead to one another, want the name of a file", path)
}

func (f *progressFile) read() error {
	b, err := io.ReadAll(f.held)
	if err != nil {
		return fmt.Errorf("progress file: %w", err)
	}
	if f.new = len(b) == 0; f.new {
		return nil
	}
	if err := json.Unmarshal(b, &f.now); err != nil || f.now.Format != format {
		return fmt.Errorf("%w: %s is no progress file of this version of `projector import` (%w)", ErrOtherProgress, f.path,
			errors.Join(err, fmt.Errorf("format %d, want %d", f.now.Format, format)))
	}
	return nil
}

// write replaces the file's content. Once it returns without an error, it is on
// disk; with one, the file says what it said before, or what was to be written.
// Either way it stays locked.
func (f *progressFile) write() (err error) {
	f.now.Format, f.now.Written = format, time.Now().UTC()
	b, err := json.MarshalIndent(f.now, "", "  ")
	if err != nil {
		return err
	}
	dir := filepath.Dir(f.path)
	// What is there under that name is of an import that was killed: this one holds the
	// lock. Whatever somebody puts there meanwhile, a link too, is not written into.
	_ = os.Remove(f.path + ".new") // that it is not there any more shows next
	temp, err := os.OpenFile(f.path+".new", os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("progress file: %w", err)
	}
	replaced := false
	defer func() {
		if err != nil && !replaced {
			temp.Close()
			os.Remove(temp.Name())
			err = fmt.Errorf("progress file %s: %w", f.path, err)
		}
	}()
	if _, err = temp.Write(append(b, '\n')); err != nil {
		return err
	}
	if err = temp.Sync(); err != nil {
		return err
	}
	if err = lock(temp); err != nil {
		return err
	}
	if err = os.Rename(temp.Name(), f.path); err != nil {
		return err
	}
	f.held.Close() // the old one
	f.held, f.new, replaced = temp, false, true
	if err := syncFolder(dir); err != nil {
		return fmt.Errorf("progress file %s: it is written, and whether its name is on disk is not known, so that after a loss of power its earlier version may be there: %w", f.path, err)
	}
	return nil
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// close ends the use; a file into which nothing was written is removed.
func (f *progressFile) close() {
	if f.new {
		os.Remove(f.path)
	}
	f.held.Close()
}
