package export

import (
	"errors"
	"os"
	"syscall"
)

// allocate makes room for a file on its disk, so that a disk that is full says
// so before anything is sent; where its file system cannot, nothing.
func allocate(f *os.File, size int64) error {
	for {
		err := syscall.Fallocate(int(f.Fd()), 0, 0, size)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EOPNOTSUPP), errors.Is(err, syscall.ENOSYS):
			return nil
		}
		return err
	}
}
