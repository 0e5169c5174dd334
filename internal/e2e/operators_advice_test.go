package e2e

import (
	"regexp"
	"slices"
	"strings"
)

var advised = regexp.MustCompile("`(projector|nats) ([^`]+)`")

// advice is the first command in a refusal that changes something.
func advice(out string) (args []string) {
	out = out[max(0, strings.LastIndex(out, "projector: ")):] // the error is printed last
	for _, m := range advised.FindAllStringSubmatch(out, -1) {
		words := strings.Fields(m[2])
		if m[1] == "nats" {
			return append([]string{"nats"}, words...)
		}
		switch words[0] {
		case "run", "status", "history", "verify":
			continue
		}
		return words
	}
	return nil
}

// followAdvice runs the first command that a refusal names, and if that refuses as well, the first
// that it names, and so on.
func (p *simulation) followAdvice(out string) {
	p.t.Helper()
	for range 6 {
		args := advice(out)
		if args == nil {
			p.t.Fatalf("this names no command that ends it: %s", lastLines(out))
		}
		p.followed[strings.Join(args, " ")]++
		if args[0] == "nats" {
			p.transform(partitioned(16))
			return
		}
		p.lossAccepted = p.lossAccepted || slices.Contains(args, "--accept-differences")
		var status int
		out, status = p.operate(args...)
		if p.t.Logf("as advised, %v: exit %d: %s", args, status, lastLines(out)); status == 0 {
			return
		}
	}
	p.t.Fatalf("after six steps this still refuses: %s", lastLines(out))
}
