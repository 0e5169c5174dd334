package console

import (
	"strings"
	"testing"
)

// TestNamesInTheAudit: a name is in the audit as it is, escaped where it is not of ASCII,
// never longer than a line takes, and no two are recorded as one.
func TestNamesInTheAudit(t *testing.T) {
	long := strings.Repeat("\u0416", 40)
	seen := map[string]string{}
	for _, user := range []string{"anna@example.org", "Zo\u00eb", `Zo\u00eb`, long + "1", long + "2", strings.Repeat("x", 200), strings.Repeat("x", 199) + "y", `a"b`} {
		name := auditName(user)
		if len(name) > mostAuditName || strings.ContainsFunc(name, func(c rune) bool { return c < ' ' || c > '~' }) {
			t.Errorf("%q is recorded as %q, of %d characters", user, name, len(name))
		}
		if other, twice := seen[name]; twice {
			t.Errorf("%q and %q are both recorded as %q", user, other, name)
		}
		seen[name] = user
	}
	if seen["anna@example.org"] == "" || seen[`Zo\u00eb`] == "" {
		t.Errorf("names are recorded as %q", seen)
	}
}
