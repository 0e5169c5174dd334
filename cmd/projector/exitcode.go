package main

import (
	"fmt"
	"strings"

	"accountexport/internal/findings"
)

// exitCodes describes every exit status, for the help.
func exitCodes() string {
	var b strings.Builder
	b.WriteString("Exit status:\n  0   done, or asked to end\n  1   failed\n  2   called wrongly, or settings that cannot be used: nothing was done;\n      with a dump of goroutines: ended by Go itself, or by SIGQUIT\n" +
		"and where going on could do harm, so that somebody has to decide:\n")
	for _, r := range findings.Refusals() {
		fmt.Fprintf(&b, "  %d  %s\n", r.Exit, r.Err)
	}
	return b.String()
}
