package console

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"accountexport/events"
	"accountexport/internal/cli"
	"accountexport/readmodel/admin"
)

// parkedFilter selects parked messages as the flags of `projector parked` do, and by the
// same rules: what is right there is right here.
type parkedFilter struct{ admin.ParkedFilter }

// mostFilter is how long a text to filter by is at most.
const mostFilter = 1000

// parkedFields are a filter's fields as texts.
type parkedFields struct {
	Type      string `json:"type"`
	Reason    string `json:"reason"`
	Account   string `json:"account"`
	Since     string `json:"since"`
	From      string `json:"from"`
	To        string `json:"to"`
	Dismissed bool   `json:"dismissed"`
}

// readParkedFilter reads a filter from a query or a form.
func readParkedFilter(given url.Values) (f parkedFilter, err error) {
	text := func(name string) string { return strings.TrimSpace(given.Get(name)) }
	wrong := func(name, right string, err error) error {
		return badRequest(fmt.Sprintf("%s is not right", name), "It has to be %s: %s.", right, cli.Printable(err.Error()))
	}
	for name, to := range map[string]*string{"type": &f.Type, "reason": &f.Reason} {
		if text(name) == "" {
			continue
		}
		*to = given.Get(name)
		if _, err := cli.Text("TEXT", "").Parse(*to); err != nil || len(*to) > mostFilter {
			return f, badRequest(name+" is not right", "It has to be a text of at most %d bytes.", mostFilter)
		}
	}
	if v := text("account"); v != "" {
		id, err := events.ParseUUID(v)
		if err != nil {
			return f, wrong("account", "the UUID of an account, such as 3c90c3cc-0d44-4b50-8888-8dd25736052a", err)
		}
		f.Account = &id
	}
	if v := text("since"); v != "" {
		if f.Since, err = parseSince(v); err != nil {
			return f, wrong("since", "a time, such as 2026-03-25T07:11:48Z, or how long ago, such as 2h", err)
		}
	}
	for name, to := range map[string]*uint64{"from": &f.From, "to": &f.To} {
		if v := text(name); v != "" {
			if *to, err = parsePosition(v); err != nil {
				return f, wrong(name, "a position of the stream, such as 1234", err)
			}
		}
	}
	if f.From > 0 && f.To > 0 && f.From > f.To {
		return f, badRequest("Nothing is selected", "from %d is beyond to %d: nothing is between them.", f.From, f.To)
	}
	switch text("dismissed") {
	case "", "false":
	case "true":
		f.Dismissed = true
	default:
		return f, badRequest("dismissed is not right", "It has to be true, or be left out.")
	}
	return f, nil
}

func parsePosition(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	if err == nil && n == 0 {
		return 0, errors.New("positions begin at 1")
	}
	return n, err
}

// parseSince reads a time, or a duration that ends now.
func parseSince(s string) (time.Time, error) {
	if d, err := time.ParseDuration(s); err == nil {
		if d <= 0 {
			return time.Time{}, errors.New("no time ago")
		}
		return time.Now().Add(-d), nil
	}
	if _, err := events.ParseTime(s); err != nil {
		return time.Time{}, err
	}
	return time.Parse(time.RFC3339Nano, s)
}

// selects tells whether the filter leaves anything out.
func (f *parkedFilter) selects() bool { return f.ParkedFilter != admin.ParkedFilter{} }

func (f *parkedFilter) fields() parkedFields {
	v := parkedFields{Type: f.Type, Reason: f.Reason, Dismissed: f.Dismissed}
	if f.Account != nil {
		v.Account = f.Account.String()
	}
	if !f.Since.IsZero() {
		v.Since = f.Since.UTC().Format(time.RFC3339Nano)
	}
	if f.From > 0 {
		v.From = fmt.Sprint(f.From)
	}
	if f.To > 0 {
		v.To = fmt.Sprint(f.To)
	}
	return v
}

// values are the fields that are set, as a query has them.
func (f *parkedFilter) values() url.Values {
	v, q := f.fields(), url.Values{}
	for name, value := range map[string]string{"type": v.Type, "reason": v.Reason, "account": v.Account, "since": v.Since, "from": v.From, "to": v.To} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if f.Dismissed {
		q.Set("dismissed", "true")
	}
	return q
}

// command is the call of `projector parked` that selects the same messages. It is empty
// where a text of it cannot be typed.
func (f *parkedFilter) command(what, more string) string {
	v := f.fields()
	call := "projector parked " + what
	for _, flag := range [][2]string{{"account", v.Account}, {"type", v.Type}, {"reason", v.Reason}, {"since", v.Since}, {"from", v.From}, {"to", v.To}} {
		if flag[1] == "" {
			continue
		}
		if flag[1] != cli.Printable(flag[1]) {
			return ""
		}
		call += " --" + flag[0] + " " + shellWord(flag[1])
	}
	if f.Dismissed && what == "list" {
		call += " --dismissed"
	}
	return call + more
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./:@%+,][A-Za-z0-9_./:@%+,-]*$`)

// shellWord is a text as one word of a shell.
func shellWord(s string) string {
	if plainWord.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
