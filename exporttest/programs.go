package exporttest

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
)

// programs is the folder with projector and api, which are built once a test binary.
// Several test binaries may build at the same time, so a lock is held meanwhile.
var programs = sync.OnceValues(func() (dir string, err error) {
	module, err := moduleFolder()
	if err != nil {
		return "", err
	}
	if dir, err = binFolder(module); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	defer lock.Close() // which unlocks it
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	// Built in the module itself, so that its go.sum counts, and not that of the module
	// whose test this is. Programs that are up to date are not linked again.
	build := exec.Command("go", "build", "-mod=readonly", "-buildvcs=false", "-o", dir+string(filepath.Separator), "./cmd/projector", "./cmd/api")
	build.Dir, build.Env = module, append(os.Environ(), "GOWORK=off", "PWD="+module)
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build projector and api in %s: %w\n%s", module, err, out)
	}
	return dir, nil
})

// moduleFolder is the folder of the module that this package is in, as the go command
// finds it for the test's own module, by a replace directive or a workspace.
func moduleFolder() (string, error) {
	const module = "accountexport"
	var stderr bytes.Buffer
	list := exec.Command("go", "list", "-mod=readonly", "-m", "-f", "{{.Dir}}", module)
	list.Stderr = &stderr
	out, err := list.Output()
	if dir := strings.TrimSpace(string(out)); err == nil && dir != "" {
		return dir, nil
	}
	return "", fmt.Errorf("find the folder of module %s, which a replace directive in go.mod names: %w %s", module, err, stderr.Bytes())
}

// binFolder is where the module's programs are kept, in the user's cache.
func binFolder(module string) (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("a folder to build projector and api in: %w", err)
	}
	dir := filepath.Join(base, "accountexport", "exporttest", fmt.Sprintf("%x", sha256.Sum256([]byte(module)))[:16])
	return dir, os.MkdirAll(dir, 0o700)
}
