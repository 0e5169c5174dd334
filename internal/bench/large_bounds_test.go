package bench

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"accountexport/events"
	"accountexport/readmodel"
)

// BenchmarkLargeAccountBounds measures the most memory that each command takes for which
// one account alone is large: one of 100,000 small sandboxes, and one of 1,500 sandboxes
// with 60 kB of metadata each, with the least MEMORY_LIMIT and with its default. A byte
// of a page is damaged before each refold, so that it replaces the account.
func BenchmarkLargeAccountBounds(b *testing.B) {
	program := buildProjector(b)
	small, _ := events.ParseUUID("3c90c3cc-0d44-4b50-9999-000000000000")
	for _, shape := range []struct {
		what      string
		sandboxes int
		padding   int // bytes of metadata, beside the usual
	}{{"100,000 small sandboxes", 100_000, 0}, {"1,500 sandboxes of 60 kB", 1500, 60_000}} {
		b.Run(fmt.Sprintf("sandboxes=%d", shape.sandboxes), func(b *testing.B) {
			r := newReport(b, "Memory at most, with an account of "+shape.what)
			s := newStack(b)
			publishAccounts(b, s, 1) // and the tier
			publishLargeItems(b, s, small, shape.sandboxes, shape.padding)
			for b.Loop() {
				for _, limit := range []string{"128MiB", "512MiB"} {
					s.forget(b)
					add := func(what string, peak int64) {
						r.add("MEMORY_LIMIT "+limit+": "+what, "MiB", float64(peak)/(1<<20))
					}
					command := func(args ...string) *exec.Cmd {
						cmd := s.command(program, args...)
						cmd.Env = append(cmd.Env, "MEMORY_LIMIT="+limit, "AUDIT_RATE=0")
						return cmd
					}
					p := startProcess(b, command("run"))
					s.waitProjected(b)
					add("run, catching up", p.peakOf(nil))
					p.stop(b)
					id := small.String()
					for _, args := range [][]string{{"verify", "--account", id}, {"verify", "--all"}, {"refold", "--account", id},
						{"export", "--account", id}, {"history", "--account", id}} {
						if args[0] == "refold" {
							s.damagePage(b)
						}
						p := startProcess(b, command(args...))
						add(strings.Join(args[:2], " "), p.peakOf(p.Ended()))
						p.ended(b)
						if args[0] == "refold" && !strings.Contains(p.out.String(), "changed") {
							b.Errorf("refold changed nothing: %s", p.out)
						}
					}
					s.damagePage(b) // the audit finds the same account again and again, and says so once it has compared it
					run := command("run")
					run.Env = append(run.Env, "AUDIT_RATE=10000000", "AUDIT_BYTES=1GiB")
					p = startProcess(b, run)
					found := make(chan struct{})
					go func() {
						defer close(found)
						for until := time.Now().Add(2 * time.Minute); time.Now().Before(until) && !strings.Contains(p.out.String(), "differs from a fold"); {
							time.Sleep(20 * time.Millisecond)
						}
					}()
					add("run, with its audit", p.peakOf(found))
					if !strings.Contains(p.out.String(), "differs from a fold") {
						b.Errorf("the audit has found nothing: %s", p.out)
					}
					p.stop(b)
				}
			}
		})
	}
}

// damagePage flips a bit of one page of the live generation.
func (s *stack) damagePage(b *testing.B) {
	b.Helper()
	live, err := readmodel.LiveGeneration(b.Context(), s.pool)
	if err == nil {
		pages := readmodel.SchemaName(live.Number) + ".account_export_pages"
		_, err = s.pool.Exec(b.Context(), `
UPDATE `+pages+` SET body = set_byte(body, 100, get_byte(body, 100) # 1)
WHERE (account_id, section, page_key) = (SELECT account_id, section, page_key FROM `+pages+` ORDER BY page_key LIMIT 1)`)
	}
	if err != nil {
		b.Fatal(err)
	}
}
