//go:build unix

package child

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// ways are both in which a process can be made to end with its parent; the second is
// that of systems other than Linux.
var ways = map[string]func(*exec.Cmd, syscall.Signal) (*Process, error){"Start": Start, "startWatched": startWatched}

// TestMain also is a parent that starts a child and then waits to be killed.
func TestMain(m *testing.M) {
	start, parent := ways[os.Getenv("CHILD_TEST_WAY")]
	if !parent {
		os.Exit(m.Run())
	}
	cmd := exec.Command("/bin/sh", "-c", "sleep 20 >/dev/null; echo lives on")
	cmd.Stdout = os.Stdout
	if _, err := start(cmd, syscall.SIGKILL); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("runs")
	select {}
}

// TestChildrenEndWithTheirParent: with one that is killed, too. A child that lived on
// would hold the parent's output open, and say so in the end.
func TestChildrenEndWithTheirParent(t *testing.T) {
	for way := range ways {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			parent := exec.Command(os.Args[0])
			parent.Env = append(os.Environ(), "CHILD_TEST_WAY="+way)
			out, err := parent.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := parent.Start(); err != nil {
				t.Fatal(err)
			}
			said := bufio.NewReader(out)
			line, err := said.ReadString('\n')
			if err != nil || line != "runs\n" {
				t.Fatal(line, err)
			}
			if err := parent.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			if rest, err := io.ReadAll(said); err != nil || len(rest) > 0 { // until nobody has it open
				t.Errorf("%q, %v", rest, err)
			}
			_ = parent.Wait()
		})
	}
}

// TestProcessTellsHowItEnded, and the shell beside it signals nobody.
func TestProcessTellsHowItEnded(t *testing.T) {
	for way, start := range ways {
		for command, want := range map[string]string{"true": "", "exit 3": "exit status 3", "kill -TERM $$": "signal: terminated"} {
			p, err := start(exec.Command("/bin/sh", "-c", command), syscall.SIGKILL)
			if err != nil {
				t.Fatal(err)
			}
			<-p.Ended()
			if got := p.Err(); (got == nil) != (want == "") || got != nil && !strings.Contains(got.Error(), want) {
				t.Errorf("%s: %s: %v", way, command, got)
			}
		}
		if _, err := start(exec.Command("/nowhere/at-all"), syscall.SIGKILL); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: a program that is not there: %v", way, err)
		}
	}
}
