//go:build !unix

package importer

import (
	"errors"
	"os"
)

// lock refuses: without it, two imports could publish the same lines.
func lock(*os.File) error {
	return errors.New("import locks its progress file, which this program can do on Unix systems only")
}
