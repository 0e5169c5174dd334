package accountexport_test

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestSecurityStatementsNameTheirTests: each row of doc/security.md ends with tests that
// show what it says, in the package that it names; or its table comes after a paragraph that
// names a test, which reads the table.
func TestSecurityStatementsNameTheirTests(t *testing.T) {
	var paragraph string
	var within, shown bool
	rows, tables := 0, 0
	for _, d := range manuals(t) {
		if d.Path != "doc/security.md" {
			continue
		}
		for line := range strings.Lines(d.Prose()) {
			line = strings.TrimSpace(line)
			switch {
			case !strings.HasPrefix(line, "|"):
				if within {
					within, paragraph = false, ""
				}
				if paragraph += line + "\n"; strings.HasPrefix(line, "#") {
					paragraph = ""
				}
			case !within:
				within, shown = true, strings.HasSuffix(line, "| shown by |")
				if tables++; !shown && !testName.MatchString(paragraph) {
					t.Errorf("the table that begins with %s has no column \"shown by\", and no test is named before it", line)
				}
			case !strings.HasPrefix(line, "| ---") && shown:
				rows++
				cells := strings.Split(strings.Trim(line, "|"), " | ")
				faults := wrongTests(t, cells[len(cells)-1])
				for _, fault := range faults {
					t.Errorf("%s: %s", cells[0], fault)
				}
			}
		}
	}
	if rows < 40 || tables < 7 {
		t.Errorf("doc/security.md has %d rows in %d tables", rows, tables)
	}
}

// wrongTests is what is wrong with a cell: packages and the tests that all of them have,
// and after a semicolon others. Tests without a package are of this one.
func wrongTests(t *testing.T, cell string) (faults []string) {
	t.Helper()
	found := 0
	for part := range strings.SplitSeq(cell, ";") {
		packages, named := []string{"."}, false
		for _, m := range inBackticks.FindAllStringSubmatch(part, -1) {
			switch word := m[1]; {
			case testName.MatchString(word):
				named = true
				found++
				for _, folder := range packages {
					if !hasTest(t, folder, word) {
						faults = append(faults, folder+" has no "+word)
					}
				}
			case strings.Contains(word, "."): // a script
			case named || packages[0] == ".":
				packages, named = []string{word}, false
			default:
				packages = append(packages, word)
			}
		}
	}
	if found == 0 {
		faults = append(faults, "it names no test")
	}
	return faults
}

func hasTest(t *testing.T, folder, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	declared := regexp.MustCompile(`(?m)^func ` + name + `\(\w+ \*testing\.[TBF]\)`)
	for _, file := range files {
		if declared.MatchString(read(t, file)) {
			return true
		}
	}
	return false
}

// TestComposePublishesToThisMachineOnly: its passwords are known to everybody, and its NATS
// asks for none.
func TestComposePublishesToThisMachineOnly(t *testing.T) {
	published := 0
	for name, service := range readCompose(t).Services {
		for _, port := range service.Ports {
			if published++; !strings.HasPrefix(port, "127.0.0.1:") {
				t.Errorf("service %s publishes %s: it has to be 127.0.0.1:%s", name, port, port)
			}
		}
	}
	if published < 4 {
		t.Errorf("only %d ports are published", published)
	}
}
