package projections

import (
	"crypto/sha256"
	"fmt"
	"os"
	"testing"
)

const fingerprintFile = "testdata/fingerprint.txt"

// TestVersionFollowsTheFold compares what this program makes of the scripts and of the
// worked example with a committed fingerprint. Other documents need a new major projection
// version, and other outcomes alone at least a new minor one; then -update rewrites the
// fingerprint.
func TestVersionFollowsTheFold(t *testing.T) {
	got := foldFingerprint(t)
	if *update {
		if err := os.WriteFile(fingerprintFile, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(fingerprintFile)
	if err != nil {
		t.Fatal(err)
	}
	var want versionedFingerprint
	if _, err := fmt.Sscanf(string(text), "version %d.%d\noutcomes %s\ndocuments %s\n", &want.major, &want.minor, &want.outcomes, &want.documents); err != nil {
		t.Fatalf("%s: %v", fingerprintFile, err)
	}
	if problem := want.allows(got); problem != "" {
		t.Error(problem)
	}
}

// TestVersionRuleBites applies the rule to changes of each kind.
func TestVersionRuleBites(t *testing.T) {
	have := versionedFingerprint{1, 4, "o", "d"}
	for _, test := range []struct {
		next versionedFingerprint
		bad  bool
	}{
		{versionedFingerprint{1, 4, "o", "d"}, false},
		{versionedFingerprint{1, 4, "o", "D"}, true},
		{versionedFingerprint{1, 5, "o", "D"}, true},
		{versionedFingerprint{2, 0, "O", "D"}, true}, // the file has to be rewritten
		{versionedFingerprint{1, 4, "O", "d"}, true},
		{versionedFingerprint{1, 5, "O", "d"}, true},
	} {
		if problem := have.allows(test.next); (problem != "") != test.bad {
			t.Errorf("%+v: %q", test.next, problem)
		}
	}
}

type versionedFingerprint struct {
	major, minor        int
	outcomes, documents string
}

func (v versionedFingerprint) String() string {
	return fmt.Sprintf("version %d.%d\noutcomes %s\ndocuments %s\n", v.major, v.minor, v.outcomes, v.documents)
}

// allows says what is wrong if a program that makes next is released after the one of the
// committed fingerprint; empty if nothing is.
func (v versionedFingerprint) allows(next versionedFingerprint) string {
	same := v.major == next.major && v.minor == next.minor
	switch {
	case v == next:
		return ""
	case v.documents != next.documents && v.major == next.major:
		return "documents have changed: raise VersionMajor, and run with -update"
	case v.outcomes != next.outcomes && same:
		return "outcomes have changed: raise VersionMinor, or VersionMajor where documents of sound messages could change, too, and run with -update"
	}
	return "the projection version is new: run with -update, and review the scripts' output as text"
}

func foldFingerprint(t *testing.T) versionedFingerprint {
	t.Helper()
	outcomes, documents := sha256.New(), sha256.New()
	judge := func(name string, messages []Message) {
		f := NewFold()
		for _, m := range messages {
			out, _, err := f.Apply(m)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(outcomes, "%s %d %s\n", name, m.Position, out)
		}
	}
	for _, path := range scripts(t) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		judge(path, runScript(t, string(text)).messages)
	}
	// Documents are those of messages that version 1.0 accepts: to accept more
	// is no change of what sound messages come to.
	var example []Message
	sound := NewFold()
	for _, m := range readLines[exampleMessage](t, "testdata/example/messages.jsonl") {
		example = append(example, m.message(t))
		if m.Outcome == Parked.String() {
			continue
		}
		if _, _, err := sound.Apply(m.message(t)); err != nil {
			t.Fatal(err)
		}
	}
	judge("example", example)
	for _, id := range sound.Accounts() {
		doc, missing, err := sound.Document(id)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(documents, "%s %d %v %s\n", id, sound.Account(id).Position(), missing, doc)
	}
	return versionedFingerprint{VersionMajor, VersionMinor, fmt.Sprintf("%x", outcomes.Sum(nil)), fmt.Sprintf("%x", documents.Sum(nil))}
}
