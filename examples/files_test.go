package examples_test

import (
	"io/fs"
	"slices"
)

// only is a folder of which only these files are seen: not what was installed or built
// in it.
type only struct {
	fs.FS
	files []string
}

// ReadDir implements [fs.ReadDirFS].
func (o only) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(o.FS, name)
	return slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return !slices.Contains(o.files, e.Name()) }), err
}
