// Package corpus reads the named hostile messages that tests share; their form is
// in events/testdata/hostile/README.md.
package corpus

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"accountexport/events"
)

// Case is one message, and what is to become of it by itself.
type Case struct {
	Name    string
	Message events.Message
	Want    string // refused, ignored or accepted
	Field   string // that the refusal names
}

// Read reads all messages of a folder's files, which is events/testdata/hostile.
func Read(t testing.TB, folder string) []Case {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no corpus: %v", err)
	}
	var all []Case
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for block := range strings.SplitSeq(string(text), "\n\n") {
			c, err := parse(strings.Split(strings.Trim(block, "\n"), "\n"))
			if err != nil {
				t.Fatalf("%s: %q: %v", file, c.Name, err)
			}
			all = append(all, c)
		}
	}
	return all
}

func parse(lines []string) (Case, error) {
	const soundPayload = `"specversion":"1.0","id":"1","source":"/s","time":"2026-03-25T07:10:47Z"`
	const soundHeader = `"ce-specversion" "1.0" "ce-id" "1" "ce-source" "/s" "ce-time" "2026-03-25T07:10:47Z"`
	c := Case{Message: events.Message{Subject: "controlplane.account.64c38c41-1961-4698-82a7-af9eab79b005", Header: map[string][]string{}}}
	payload := ""
	for _, line := range lines {
		key, value, _ := strings.Cut(line, " ")
		var err error
		switch key {
		case "==":
			c.Name = value
		case "subject":
			c.Message.Subject = value
		case "header":
			err = addHeaders(c.Message.Header, strings.ReplaceAll(value, "«sound»", soundHeader))
		case "payload":
			payload = strings.ReplaceAll(value, "«sound»", soundPayload)
		case "quoted":
			payload, err = strconv.Unquote(value)
		case "fill":
			part := strings.SplitN(value, " ", 3)
			var times int
			if times, err = strconv.Atoi(part[1]); err == nil {
				payload = strings.ReplaceAll(payload, part[0], strings.Repeat(part[2], times))
			}
		case "want":
			is, field, _ := strings.Cut(value, " ")
			c.Want, c.Field = is, field
		default:
			err = errors.New("a line that starts with " + key)
		}
		if err != nil {
			return c, err
		}
	}
	c.Message.Data = []byte(payload)
	if c.Want == "" || c.Name == "" || strings.Contains(payload, "«") {
		return c, errors.New("no name, nothing wanted, or a placeholder left")
	}
	return c, nil
}

// addHeaders reads quoted names and values in turn.
func addHeaders(into map[string][]string, text string) error {
	name, named := "", false
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		prefix, err := strconv.QuotedPrefix(text)
		if err != nil {
			return err
		}
		text = text[len(prefix):]
		value, err := strconv.Unquote(prefix)
		if err != nil {
			return err
		}
		if !named {
			name, named = value, true
			continue
		}
		into[name], named = append(into[name], value), false
	}
	if named {
		return errors.New("a header without value")
	}
	return nil
}
