package export

import (
	"os"
	"testing"
)

// TestSpoolsHaveNoName: what is spooled can be opened by nobody else, and is gone with the
// process, however that ends.
func TestSpoolsHaveNoName(t *testing.T) {
	dir := t.TempDir()
	f, err := createSpool(dir, 1<<16)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("a document"), 0); err != nil {
		t.Fatal(err)
	}
	info, err := f.Stat()
	if err != nil || info.Mode().Perm() != 0o600 || info.Size() < 10 {
		t.Errorf("the file is %v (%v)", info, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("the folder has %v (%v)", left, err)
	}
}
