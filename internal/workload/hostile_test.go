package workload

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"accountexport/internal/local/testrun"
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

// TestHostileStreamMeetsEveryRule generates messages until each reason for parking
// one has occurred, and checks that all of them could be published. With LONG it
// generates the full number.
func TestHostileStreamMeetsEveryRule(t *testing.T) {
	const most = 200_000
	config := hostileConfig()
	config.HostileShare = 0.9 // so that the rarest reason occurs sooner
	generator, fold := New(testrun.Seed(t), config), oracle.New()
	reasons, unmet := map[string]int{}, map[string]bool{}
	for _, reason := range everyReason() {
		unmet[reason] = true
	}
	messages := 0
	for ; messages < most && (len(unmet) > 0 || testrun.Long()); messages++ {
		m := generator.Next()
		if problem := publishable(m); problem != "" {
			t.Fatalf("message %d cannot be published: %s", messages+1, problem)
		}
		r := fold.Apply(oracle.Message{Position: uint64(messages + 1), Subject: m.Subject, Header: m.Header, Data: m.Data})
		if r.Outcome == oracle.Parked {
			reason, _, _ := strings.Cut(r.Reason, " at byte ")
			reasons[reason]++
			delete(unmet, reason)
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
		if outcomes[o] < messages/200 {
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
	for reason := range unmet {
		t.Errorf("none of %d messages is parked for %q", messages, reason)
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
