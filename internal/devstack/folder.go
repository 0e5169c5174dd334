package devstack

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const (
	temporaryPrefix = "accountexport-devstack-"
	temporaryLock   = "temporary.lock" // only in folders that sweep may remove
	keptLock        = "devstack.lock"
)

// openFolder creates the folder for everything and locks it for this run.
// PostgreSQL's own user must be able to pass through it. The kernel releases the lock
// however the run ends.
func (s *stack) openFolder(ctx context.Context) (err error) {
	if s.temporary() {
		sweep()
		if s.dir, err = os.MkdirTemp("", temporaryPrefix); err != nil {
			return err
		}
		if err := os.Chmod(s.dir, 0o711); err != nil {
			return err
		}
		// The lock file gets its real name only once it is locked. Otherwise the sweep of
		// another run could take the folder for one of a dead run.
		fresh := filepath.Join(s.dir, "fresh.lock")
		if s.lock, err = lock(fresh, os.O_CREATE); err != nil {
			return err
		}
		return os.Rename(fresh, filepath.Join(s.dir, temporaryLock))
	}
	if s.dir, err = keptFolder(s.opt.Dir); err != nil {
		return err
	}
	if err := os.MkdirAll(s.dir, 0o711); err != nil {
		return err
	}
	if s.opt.DatabaseURL == "" {
		if err := passable(s.dir); err != nil {
			return err
		}
	}
	// A run that was killed a moment ago may not have ended yet.
	for tries := 0; ; tries++ {
		s.lock, err = lock(filepath.Join(s.dir, keptLock), os.O_CREATE)
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return err
		}
		if tries == 20 {
			return fmt.Errorf("another devstack runs on %s; end it, or choose another --dir", s.dir)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (s *stack) temporary() bool { return !s.opt.Keep && s.opt.Dir == "" }

// keptFolder returns the absolute path of the folder to keep.
func keptFolder(dir string) (string, error) {
	if dir != "" {
		return filepath.Abs(dir)
	}
	if os.Geteuid() == 0 {
		// PostgreSQL's user cannot enter root's own folders.
		return "/var/tmp/accountexport-devstack", nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(cache, "accountexport-devstack"), nil
}

// passable returns an error that names the first folder on the path which
// PostgreSQL's user cannot pass through. It only matters to root, whose PostgreSQL
// runs as another user.
func passable(dir string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return err
		}
		if info.Mode()&0o001 == 0 {
			return fmt.Errorf("%s is closed to other users (%v), and PostgreSQL runs as one when started by root; choose another --dir",
				dir, info.Mode())
		}
	}
	return nil
}

// lock opens and locks a lock file, which has to exist unless flags create it. The
// error is EWOULDBLOCK if another process holds the lock.
func lock(path string, flags int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|syscall.O_NOFOLLOW|flags, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}

// sweep removes the temporary folders of this user's killed runs, recognised by a
// lock that nobody holds. What cannot be removed stays.
func sweep() {
	found, _ := filepath.Glob(filepath.Join(os.TempDir(), temporaryPrefix+"*"))
	for _, dir := range found {
		info, err := os.Lstat(dir)
		if err != nil || !info.IsDir() || !ownedByUser(info) {
			continue
		}
		if held, err := lock(filepath.Join(dir, temporaryLock), 0); err == nil {
			_ = os.RemoveAll(dir)
			held.Close()
		}
	}
}

func ownedByUser(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid()
}

// closeFolder removes a temporary folder, and releases the lock.
func (s *stack) closeFolder() {
	if s.lock == nil {
		return
	}
	defer s.lock.Close()
	if s.temporary() {
		_ = os.RemoveAll(s.dir)
	}
}
