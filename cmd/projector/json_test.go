package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"

	"accountexport/internal/cli/clitest"
)

// jsonFields reads what doc/json.md says about a command: types by field.
func jsonFields(heading string) (map[string]string, error) {
	b, err := os.ReadFile("../../doc/json.md")
	if err != nil {
		return nil, err
	}
	fields := map[string]string{}
	_, rest, ok := strings.Cut(string(b), "\n## "+heading+"\n")
	if !ok {
		return nil, fmt.Errorf("doc/json.md has no heading %q", heading)
	}
	rest, _, _ = strings.Cut(rest, "\n## ")
	for line := range strings.Lines(rest) {
		if cells := strings.Split(line, "|"); len(cells) == 5 && strings.Contains(cells[1], "`") {
			fields[strings.Trim(cells[1], " `")] = strings.TrimSpace(cells[2])
		}
	}
	if len(fields) == 0 {
		return nil, fmt.Errorf("doc/json.md names no field of %q", heading)
	}
	return fields, nil
}

// documented compares what was printed last with doc/json.md: there is at least one
// line, and each has all the fields that are listed there, and no others.
func documented(ts *testscript.TestScript, _ bool, args []string) {
	heading := strings.Join(args, " ")
	fields, err := jsonFields(heading)
	ts.Check(err)
	in, lines := json.NewDecoder(strings.NewReader(ts.ReadFile("stdout"))), 0
	for in.More() {
		var v any
		ts.Check(in.Decode(&v))
		lines++
		seen := map[string]bool{}
		if err := holds(fields, seen, "", v); err != nil {
			ts.Fatalf("%s: %v", heading, err)
		}
		for field, typ := range fields {
			if !seen[field] && !strings.Contains(typ, "optional") && typ != "or null" && !absent(fields, seen, field) {
				ts.Fatalf("%s prints no %s", heading, field)
			}
		}
	}
	if lines == 0 {
		ts.Fatalf("%s: nothing was printed", heading)
	}
}

// absent tells whether a field belongs to one that is null, absent, or an empty list.
func absent(fields map[string]string, seen map[string]bool, field string) bool {
	for at := range field {
		if field[at] != '.' && field[at] != '[' {
			continue
		}
		outer := field[:at]
		if typ := fields[outer]; seen[outer+" is empty"] || typ == "optional" && !seen[outer] {
			return true
		}
	}
	return false
}

// holds tells why a value is not what the fields say; it notes which were seen.
func holds(fields map[string]string, seen map[string]bool, path string, v any) error {
	typ, known := fields[path]
	seen[path] = true
	switch v := v.(type) {
	case map[string]any:
		if typ == "json" {
			return nil
		}
		seen[path+" is empty"] = len(v) == 0
		for name, value := range v {
			inner := strings.TrimPrefix(path+"."+name, ".")
			if _, data := fields[path+".*"]; data {
				inner = path + ".*"
			}
			if err := holds(fields, seen, inner, value); err != nil {
				return err
			}
		}
		return nil
	case []any:
		if typ == "json" {
			return nil
		}
		seen[path+" is empty"] = len(v) == 0
		for _, item := range v {
			if err := holds(fields, seen, path+"[]", item); err != nil {
				return err
			}
		}
		return nil
	case nil:
		seen[path+" is empty"] = true
		if !known || !strings.Contains(typ, "or null") && typ != "json" {
			return fmt.Errorf("%s is null", path)
		}
		return nil
	}
	if !known {
		return fmt.Errorf("doc/json.md does not know %s", path)
	}
	if !isOf(strings.Fields(strings.ReplaceAll(typ, ",", ""))[0], v) {
		return fmt.Errorf("%s is %v, and is to be %s", path, v, typ)
	}
	return nil
}

// isOf tells whether a value is of a type of doc/json.md.
func isOf(typ string, v any) bool {
	text, isText := v.(string)
	number, isNumber := v.(float64)
	_, isBoolean := v.(bool)
	switch typ {
	case "json":
		return true
	case "boolean":
		return isBoolean
	case "number":
		return isNumber
	case "integer":
		return isNumber && number == math.Trunc(number) && number >= 0
	case "text":
		return isText
	case "base64":
		_, err := base64.StdEncoding.DecodeString(text)
		return isText && err == nil
	case "time":
		_, err := time.Parse(time.RFC3339Nano, text)
		return isText && err == nil && strings.HasSuffix(text, "Z")
	}
	return false
}

// TestJSONOfEveryCommandIsAContract: every command that does something has --json,
// except those that print JSON anyway or nothing; doc/json.md describes it, and a
// script compares the two.
func TestJSONOfEveryCommandIsAContract(t *testing.T) {
	scripts := clitest.Lines(t)
	without := map[string]bool{"projector run": true, "projector console": true, "projector export": true, "projector erasures export": true, "projector parked export": true}
	clitest.Walk(tree(), func(cmd *cobra.Command) {
		path := cmd.CommandPath()
		if cmd.HasSubCommands() || strings.HasPrefix(path, "projector completion") || strings.HasPrefix(path, "projector help") {
			return
		}
		if has := cmd.Flags().Lookup("json") != nil; has == without[path] {
			t.Errorf("%s: --json is %v", path, has)
		}
		if without[path] {
			return
		}
		if _, err := jsonFields(path); err != nil {
			t.Error(err)
		}
		if !slices.Contains(scripts, "documented "+path) {
			t.Errorf("no script compares what %s prints with doc/json.md", path)
		}
	})
}
