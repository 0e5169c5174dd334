package workload

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"accountexport/internal/oracle"
)

func publishable(m Message) string {
	tokens := strings.Split(m.Subject, ".")
	switch {
	case len(tokens) != 3 || tokens[0] != "controlplane" || slices.Contains(tokens, ""):
		return "subject " + m.Subject
	case strings.ContainsAny(m.Subject, "*> \t\r\n\x00"):
		return "characters in subject " + m.Subject
	case !utf8.ValidString(m.Subject):
		return "encoding of subject " + m.Subject
	}
	size := len(m.Data) + len(m.Subject)
	for name, values := range m.Header {
		if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || r == ':' }) ||
			strings.HasPrefix(strings.ToLower(name), "nats-") {
			return "header name " + name
		}
		for _, v := range values {
			size += len(name) + len(v) + 4
			if strings.ContainsAny(v, "\r\n\x00") || strings.Trim(v, " \t") != v {
				return fmt.Sprintf("header %s: %q", name, v)
			}
		}
	}
	if size > 1_000_000 {
		return fmt.Sprintf("size %d", size)
	}
	return ""
}

func TestHostileStreamMeetsEveryRule(t *testing.T) {
	const messages = 200_000
	generator, fold := New(1, hostileConfig()), oracle.New()
	reasons := map[string]int{}
	for i := range messages {
		m := generator.Next()
		if problem := publishable(m); problem != "" {
			t.Fatalf("message %d cannot be published: %s", i+1, problem)
		}
		r := fold.Apply(oracle.Message{Position: uint64(i + 1), Subject: m.Subject, Header: m.Header, Data: m.Data})
		if r.Outcome == oracle.Parked {
			reason, _, _ := strings.Cut(r.Reason, " at byte ")
			reasons[reason]++
		}
	}
	outcomes, sum := map[oracle.Outcome]int{}, 0
	for label, totals := range fold.Totals() {
		for outcome, n := range totals {
			outcomes[outcome] += n
			sum += n
			t.Logf("%7d  %s %s", n, label, outcome)
		}
	}
	if sum != messages {
		t.Errorf("%d outcomes of %d messages", sum, messages)
	}
	for _, o := range []oracle.Outcome{oracle.Applied, oracle.Duplicate, oracle.Deferred, oracle.Ignored, oracle.Parked} {
		t.Logf("%7d  %s", outcomes[o], o)
		if outcomes[o] < messages/100 {
			t.Errorf("%s: only %d", o, outcomes[o])
		}
	}
	for _, reason := range sortedKeys(reasons) {
		t.Logf("%7d  %s", reasons[reason], reason)
	}
	states := map[oracle.State]int{}
	for _, id := range fold.Accounts() {
		states[fold.Account(id).State]++
	}
	t.Logf("accounts: %v", states)
	for _, reason := range everyReason() {
		if reasons[reason] == 0 {
			t.Errorf("no message is parked for %q", reason)
		}
	}
	if states[oracle.Complete] == 0 || states[oracle.Incomplete] == 0 || states[oracle.Erased] == 0 {
		t.Errorf("accounts: %v, want some of each state", states)
	}
}

func sortedKeys(m map[string]int) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
