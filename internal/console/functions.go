package console

import (
	"fmt"
	"html/template"
	"strconv"
	"strings"
	"time"

	"accountexport/events"
	"accountexport/internal/cli"
)

// functions are what the templates call.
func functions() template.FuncMap {
	return template.FuncMap{
		"number":   func(n any) string { return grouped(fmt.Sprint(n)) },
		"instant":  instant,
		"time":     func(t time.Time) template.HTML { return timeElement(t) },
		"duration": roughly,
		"shown":    shown,
		"shownLines": func(text string) string {
			lines := strings.Split(text, "\n")
			for i, line := range lines {
				lines[i] = shown(strings.TrimSuffix(line, "\r"))
			}
			return strings.Join(lines, "\n")
		},
		"words":  withCommands,
		"short":  events.ShortType,
		"plural": plural,
		"list":   func(v ...any) []any { return v },
		"cut":    cut,
	}
}

// shown makes a text that came from elsewhere safe to read: what changes the direction of
// writing, and whatever else cannot be seen, is escaped as in JSON. html/template escapes
// what a browser would take for markup.
func shown(v any) string { return cli.Printable(fmt.Sprint(v)) }

// grouped puts thin spaces between thousands.
func grouped(digits string) string {
	if _, err := strconv.ParseInt(digits, 10, 64); err != nil || len(digits) < 5 {
		return digits
	}
	var b strings.Builder
	for i, c := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteRune('\u202f')
		}
		b.WriteRune(c)
	}
	return b.String()
}

func plural(n any, one, many string) string {
	if s := fmt.Sprint(n); s != "1" {
		return grouped(s) + " " + many
	}
	return "1 " + one
}

func instant(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// timeElement is a point in time, in UTC, which the script shows in the reader's own time
// zone as a title.
func timeElement(t time.Time) template.HTML {
	if t.IsZero() {
		return "–"
	}
	at := t.UTC().Format("2006-01-02 15:04:05")
	return template.HTML(`<time datetime="` + t.UTC().Format(time.RFC3339Nano) + `">` + at + `<span class="utc"> UTC</span></time>`) //nolint:gosec // digits
}

// roughly is a duration as people say it.
func roughly(d time.Duration) string {
	switch {
	case d <= 0:
		return "–"
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Round(time.Second).Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Round(time.Minute).Minutes()))
	case d < 72*time.Hour:
		return fmt.Sprintf("%d h", int(d.Round(time.Hour).Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

// withCommands marks what stands between backticks, which are commands.
func withCommands(text string) template.HTML {
	var b strings.Builder
	for i, part := range strings.Split(text, "`") {
		part = template.HTMLEscapeString(cli.Printable(part))
		if i%2 == 1 {
			part = `<code>` + part + `</code>`
		}
		b.WriteString(part)
	}
	return template.HTML(b.String()) //nolint:gosec // escaped above
}
