//go:build unix

package importer

import (
	"errors"
	"os"
	"syscall"
)

// lock keeps others from a file until it is closed, or this process ends.
func lock(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return ErrBusy
	}
	return err
}
