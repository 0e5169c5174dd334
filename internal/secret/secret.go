// Package secret keeps passwords, keys and tokens out of messages. Secrets turn up in
// the wrong place, too: a connection string in place of a log level, a key in place
// of a file name, or half of it behind a space that was not quoted. So the text
// itself is judged, and not the setting or argument that it was given for.
//
// It errs on the side of hiding: a harmless text may be hidden.
package secret

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// Hidden is shown in place of a text that may be secret.
const Hidden = "(hidden)"

// minSecretLength is the length in bytes from which a text without any mark may be a secret.
// Settings refuse shorter secrets.
const minSecretLength = 32

// MayBeIn reports whether a text may contain a secret. Connection strings, and parts
// of them, contain '@', '=' or "://"; keys and tokens are long.
func MayBeIn(text string) bool {
	if strings.ContainsAny(text, "@=") || strings.Contains(text, "://") || strings.Contains(strings.ToLower(text), "passw") {
		return true
	}
	return len(text) >= minSecretLength && !allMatch(text, harmless)
}

// harmless matches long texts that are no secrets: UUIDs, networks, and paths in
// lower case, which keys in base64 are not.
var harmless = regexp.MustCompile(`^(|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|` +
	`[0-9a-fA-F]{0,4}([.:]{1,2}[0-9a-fA-F]{0,4})+(/[0-9]{1,3})?|\.{0,2}(/[a-z0-9._-]+)+)$`)

// allMatch reports whether every element of a comma-separated list matches.
func allMatch(list string, form *regexp.Regexp) bool {
	for element := range strings.SplitSeq(list, ",") {
		if !form.MatchString(strings.TrimSpace(element)) {
			return false
		}
	}
	return true
}

// Quote quotes and shortens a text for a message, or hides it.
func Quote(text string) string {
	if MayBeIn(text) {
		return Hidden
	}
	return quote(text)
}

// serverURL matches a URL that names a server and nothing else.
var serverURL = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*://[A-Za-z0-9.-]+(:[0-9]{1,5})?/?$`)

// PlainURL reports whether a text consists of URLs that name servers and nothing else.
func PlainURL(text string) bool { return allMatch(text, serverURL) }

// QuoteURL shows the servers of URLs if they are unambiguous, and nothing else of any
// text.
func QuoteURL(text string) string {
	if PlainURL(text) {
		return quote(text)
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "" || u.Host == "" || strings.ContainsAny(text, ", \t\r\n") {
		return Hidden
	}
	// In http://u:1234/x@h the host is h and not u: the password contains a slash.
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
