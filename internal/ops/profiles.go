package ops

import (
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"

	"accountexport/internal/secret"
)

// local serves only clients on this machine: profiles show what is in memory. It goes
// by the connection's own address. A proxy on this machine that says whom it asks for
// is refused, and so is a page in a browser on this machine that has had its own name
// resolve to this address: the request then names that host. A proxy that says
// nothing, such as kubectl port-forward, is a client on this machine.
func local(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isLocal(r) {
			answer(w, http.StatusForbidden, "profiles are only for clients on this machine\n")
			return
		}
		next(w, r)
	})
}

func isLocal(r *http.Request) bool {
	c := CallerOf(r)
	return c.Addr.IsLoopback() && !c.PassedOn && c.AsksByAddress()
}

// commandLine answers with the arguments of the process, as pprof does, but for those
// that may hold a secret: a connection string may have been given as a flag.
func commandLine(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, strings.Join(withoutSecrets(os.Args), "\x00"))
}

var flagName = regexp.MustCompile(`^--?[a-z-]+$`)

// withoutSecrets hides the values of flags, and arguments that may hold a secret: a
// password may look like any other word.
func withoutSecrets(args []string) []string {
	shown := slices.Clone(args)
	for i, arg := range args {
		name, _, given := strings.Cut(arg, "=")
		switch {
		case i == 0 || flagName.MatchString(arg):
		case given && flagName.MatchString(name):
			shown[i] = name + "=" + secret.Hidden
		case flagName.MatchString(args[i-1]), secret.MayBeIn(arg):
			shown[i] = secret.Hidden
		}
	}
	return shown
}
