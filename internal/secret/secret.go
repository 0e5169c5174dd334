// Package secret keeps passwords, keys and tokens out of messages. They stand in
// the wrong place as well: a connection string where a log level belongs, a key
// where a file name does, half of it behind a blank that nobody quoted. So it is
// the text that is judged, and not the setting or argument that it was given for.
package secret

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// Hidden stands for a text that is not shown.
const Hidden = "(hidden)"

// shortest is how many bytes the shortest secret has that has no mark of its
// own; settings take none below.
const shortest = 32

// MayBeIn tells whether a text may hold a secret. Connection strings, and pieces
// of them, have an '@', an '=' or a "://"; keys and tokens are long.
func MayBeIn(text string) bool {
	if strings.ContainsAny(text, "@=") || strings.Contains(text, "://") || strings.Contains(strings.ToLower(text), "passw") {
		return true
	}
	return len(text) >= shortest && !all(text, harmless)
}

// harmless are what is long without being a secret: UUIDs, networks, and paths
// in lower case, which keys in base64 are not.
var harmless = regexp.MustCompile(`^(|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|` +
	`[0-9a-fA-F]{0,4}([.:]{1,2}[0-9a-fA-F]{0,4})+(/[0-9]{1,3})?|\.{0,2}(/[a-z0-9._-]+)+)$`)

// all tells whether each of the elements of a list is of a form.
func all(list string, form *regexp.Regexp) bool {
	for element := range strings.SplitSeq(list, ",") {
		if !form.MatchString(strings.TrimSpace(element)) {
			return false
		}
	}
	return true
}

// Quote quotes a text for a message, shortened, or hides it.
func Quote(text string) string {
	if MayBeIn(text) {
		return Hidden
	}
	return quote(text)
}

// server is a URL that names a server and nothing else.
var server = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*://[A-Za-z0-9.-]+(:[0-9]{1,5})?/?$`)

// QuoteURL shows of URLs the servers, where the text names them beyond doubt, and
// nothing else of any text.
func QuoteURL(text string) string {
	if all(text, server) {
		return quote(text)
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "" || u.Host == "" || strings.ContainsAny(text, ", \t\r\n") {
		return Hidden
	}
	// In http://u:1234/x@h the host is h, and not u: the password has a slash.
	if rest := u.EscapedPath() + "?" + u.RawQuery + "#" + u.EscapedFragment(); strings.Contains(rest, "@") || strings.Contains(rest, "%40") {
		return Hidden
	}
	return fmt.Sprintf("%s (the rest is hidden)", quote((&url.URL{Scheme: u.Scheme, Host: u.Host}).String()))
}

func quote(text string) string {
	if r := []rune(text); len(r) > 80 {
		text = string(r[:80]) + "…"
	}
	return fmt.Sprintf("%q", text)
}
