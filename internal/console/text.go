package console

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// mostShown is how many characters of one text a page holds.
const mostShown = 2000

// cut cuts a text that is too long to be shown, and says how long it is.
func cut(text string) string {
	if begin, length := cutText(text, mostShown); length > 0 {
		return fmt.Sprintf("%s… (%d characters)", begin, length)
	}
	return text
}

// cutText is the beginning of a text, and how many characters the whole has; 0 where it is
// not cut.
func cutText(text string, most int) (string, int) {
	if len(text) <= most {
		return text, 0
	}
	n := 0
	for at := range text {
		if n == most {
			return strings.Clone(text[:at]), utf8.RuneCountInString(text)
		}
		n++
	}
	return text, 0
}
