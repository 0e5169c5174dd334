package e2e

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"accountexport/internal/local/documents"
	"accountexport/internal/local/postgres"
)

// TestExampleWithoutDocker: what examples/postgres/README.md says for a machine without
// Docker makes servers that `projector provision` accepts. Only the folder of the
// programs, and the port that NATS listens on, are others.
func TestExampleWithoutDocker(t *testing.T) {
	t.Parallel()
	binaries, err := postgres.Binaries()
	postgres.Check(t, err)
	pg, err := postgres.Start(t.Context(), postgres.Options{})
	postgres.Check(t, err)
	t.Cleanup(func() { _ = pg.Stop(context.Background()) })
	at, err := url.Parse(pg.URL())
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	all, err := documents.Read(root)
	if err != nil {
		t.Fatal(err)
	}
	readme := slices.IndexFunc(all, func(d documents.Document) bool { return d.Path == exampleReadme })
	dir := t.TempDir()
	env := map[string]string{"PATH": binaries + ":" + os.Getenv("PATH"), "PGHOST": at.Hostname(), "PGPORT": at.Port(), "PGUSER": at.User.Username()}
	for _, name := range []string{"HOME", "GOCACHE", "GOMODCACHE", "GOPATH", "GOPROXY", "GOFLAGS", "GOTOOLCHAIN"} {
		if v, ok := os.LookupEnv(name); ok {
			env[name] = v
		}
	}
	nats := freeAddr(t)
	blocks := 0
	for _, b := range all[readme].Blocks() {
		if !slices.Contains(b.RunBy, "TestExampleWithoutDocker") {
			continue
		}
		blocks++
		b.Text = strings.ReplaceAll(b.Text, "bin/", dir+"/bin/")
		if !b.KeepsRunning {
			runBlock(t, root, env, b)
			continue
		}
		host, port, _ := strings.Cut(nats, ":")
		words := append(strings.Fields(b.Text), "-a", host, "-p", port)
		cmd := exec.Command(words[0], words[1:]...)
		cmd.Dir = dir // where its data is
		if err := cmd.Start(); err != nil {
			t.Fatalf("%s: %v", b.At(), err)
		}
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
	}
	if blocks != 3 {
		t.Errorf("%s has %d blocks for this test, want 3", exampleReadme, blocks)
	}
	at.User, at.Path = url.UserPassword("export", "export"), "/export"
	settings := map[string]string{"DATABASE_URL": at.String(), "NATS_URL": "nats://" + nats}
	eventually(t, "the servers to be provisioned", 30*time.Second, func(context.Context) error {
		if out, status := command(t, "projector", settings, "provision"); status != 0 {
			return fmt.Errorf("exit status %d: %s", status, out)
		}
		return nil
	})
	if out, err := shell(t, root, env, `psql "`+at.String()+`" --command 'CREATE DATABASE control_plane'`); err != nil {
		t.Errorf("the login may create no database: %s", out)
	}
}
