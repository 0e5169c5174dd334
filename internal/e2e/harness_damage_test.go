package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"accountexport/internal/local/natsserver"
)

// whileNATSIsDown calls a function while the NATS server is down.
func (s *system) whileNATSIsDown(t *testing.T, do func() error) {
	t.Helper()
	s.nats.Halt()
	err := do()
	if err == nil {
		err = s.nats.Restart(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// whileUnreachable changes the stream, by a server at another address, while the programs cannot
// reach NATS.
func (s *system) whileUnreachable(t *testing.T, do func(url string)) {
	t.Helper()
	s.nats.Halt()
	other, err := natsserver.Start(natsserver.Options{Dir: s.nats.Dir()})
	if err != nil {
		t.Fatal(err)
	}
	do(other.URL())
	other.Halt()
	if err := s.nats.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// restartNATS restarts the server and waits until it answers. Of the stream's files only the last
// one is in its memory then.
func (s *system) restartNATS(t *testing.T) {
	t.Helper()
	s.nats.Halt()
	if err := s.nats.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the server to answer", time.Minute, func(ctx context.Context) error {
		_, err := s.client.Info(ctx)
		return err
	})
}

// streamFiles are the server's files with the messages of a stream.
func (s *system) streamFiles(t *testing.T, stream, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(s.nats.Dir(), "jetstream", "*", "streams", stream, "msgs", pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("files %s of stream %s: %v, %v", pattern, stream, files, err)
	}
	return files
}

// flipBit flips one bit of a text in a stream's files while the server is down.
func (s *system) flipBit(t *testing.T, stream, text string) {
	t.Helper()
	s.whileNATSIsDown(t, func() error { return flipBitIn(s.streamFiles(t, stream, "*.blk"), text) })
}

// flipBitWhileRunning does so while the server runs.
func (s *system) flipBitWhileRunning(t *testing.T, stream, text string) {
	t.Helper()
	if err := flipBitIn(s.streamFiles(t, stream, "*.blk"), text); err != nil {
		t.Fatal(err)
	}
}

// flipBitIn flips one bit of a text in the only file that has it.
func flipBitIn(files []string, text string) error {
	flipped := 0
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		i := bytes.Index(b, []byte(text))
		if i < 0 {
			continue
		}
		flipped++
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err == nil {
			_, err = f.WriteAt([]byte{b[i] ^ 1}, int64(i))
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			return err
		}
	}
	if flipped != 1 {
		return fmt.Errorf("%q is in %d of %v", text, flipped, files)
	}
	return nil
}

// publishTexts publishes n messages with a text that can be found in the stream's files, and
// returns the position of the first.
func (s *system) publishTexts(t *testing.T, text string, n int) (first uint64) {
	t.Helper()
	for i := range n {
		position := s.publishRaw(t, "controlplane.account."+another, fmt.Sprintf("%s-%d", text, i))
		if i == 0 {
			first = position
		}
	}
	return first
}

// publishPadding publishes n messages of an unknown type, four of which fill a file of the stream.
func (s *system) publishPadding(t *testing.T, n int) {
	t.Helper()
	for i := range n {
		s.publishRaw(t, "controlplane.account."+another, fmt.Sprintf(
			`{"specversion":"1.0","id":"p%d","source":"/test","type":"test.unknown.v1","time":"2026-03-25T07:11:48Z","data":{"x":"%s"}}`,
			i, strings.Repeat("x", 1_000_000)))
	}
}
