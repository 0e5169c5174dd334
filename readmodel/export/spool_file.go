package export

import (
	"errors"
	"fmt"
	"os"
)

// createSpool makes a file without a name, which no other program can open and whose
// disk space is allocated.
func createSpool(dir string, size int64) (*os.File, error) {
	f, err := os.CreateTemp(dir, "accountexport-spool-") // mode 0600
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSpool, err)
	}
	if err := errors.Join(os.Remove(f.Name()), allocate(f, size)); err != nil {
		f.Close()
		return nil, fmt.Errorf("%w %d bytes: %w", ErrSpool, size, err)
	}
	return f, nil
}

// CheckSpool is nil where files can be created and written in the folder.
func CheckSpool(dir string) error {
	f, err := createSpool(dir, 1)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte{0}, 0)
	return errors.Join(err, f.Close())
}
