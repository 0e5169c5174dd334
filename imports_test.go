package accountexport_test

import (
	"go/ast"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/tools/go/packages"
)

const module = "accountexport/"

// architecture has the table of packages, below this heading.
const (
	architecture   = "doc/architecture.md"
	packageHeading = "\n## Packages\n"
	testsHeading   = "\n### For tests alone\n"
)

// packageRule is a row of the table: which packages of this module a package's
// own code imports, and whose protocols it speaks.
type packageRule struct {
	own      []string
	speaks   []string // of protocols
	forTests bool     // no program imports it
}

var protocols = []string{"NATS", "PostgreSQL", "HTTP", "sockets"}

// libraries are by what they begin with, and what who imports one speaks.
var libraries = map[string]string{"github.com/nats-io/": "NATS", "github.com/jackc/": "PostgreSQL", "github.com/lib/pq": "PostgreSQL",
	"database/sql": "PostgreSQL", "github.com/gorilla/mux": "HTTP", "net/http/": "HTTP", "net/rpc": "sockets", "golang.org/x/net": "sockets",
	"net/smtp": "sockets"}

// values are what packages net and net/http have that speaks to nobody: types and texts.
// Who uses anything else of them speaks.
var values = map[string]struct {
	speaks string
	these  *regexp.Regexp
}{
	"net":      {"sockets", regexp.MustCompile(`^(Addr|Buffers|Conn|Err\w+|\w*Error|IP|IPMask|IPNet|IPv4|IPv6|JoinHostPort|KeepAliveConfig|Listener|ParseCIDR|ParseIP|SplitHostPort|TCPAddr|TCPConn)$`)},
	"net/http": {"HTTP", regexp.MustCompile(`^(Header|CanonicalHeaderKey|Method\w+|Status\w+)$`)},
}

// packageRules reads the tables of doc/architecture.md: a row for each package, in
// backticks, what it is for, what it may import, and what it speaks to.
func packageRules(t *testing.T) map[string]packageRule {
	t.Helper()
	_, section, found := strings.Cut(read(t, architecture), packageHeading)
	if !found {
		t.Fatalf("%s has no heading %q", architecture, strings.TrimSpace(packageHeading))
	}
	section, _, _ = strings.Cut(section, "\n## ")
	programs, tests, found := strings.Cut(section, testsHeading)
	if !found {
		t.Fatalf("%s has no heading %q", architecture, strings.TrimSpace(testsHeading))
	}
	rules := map[string]packageRule{}
	name, named := regexp.MustCompile("^`([a-z0-9/]+)`$"), regexp.MustCompile("`([a-z0-9/]+)`")
	lines := slices.Collect(strings.Lines(programs))
	first := len(lines)
	for i, line := range slices.AppendSeq(lines, strings.Lines(tests)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		m := name.FindStringSubmatch(strings.TrimSpace(cells[0]))
		if m == nil {
			continue // a heading, or text
		}
		if len(cells) != 4 {
			t.Errorf("%s has %d cells of %s, and there are to be 4", architecture, len(cells), m[1])
			continue
		}
		if _, twice := rules[m[1]]; twice {
			t.Errorf("%s has two rows of %s", architecture, m[1])
		}
		rule := packageRule{forTests: i >= first}
		for _, own := range named.FindAllStringSubmatch(cells[2], -1) {
			rule.own = append(rule.own, own[1])
		}
		for to := range strings.FieldsFuncSeq(cells[3], func(c rune) bool { return c == ' ' || c == ',' }) {
			if rule.speaks = append(rule.speaks, to); to != "–" && !slices.Contains(protocols, to) {
				t.Errorf("%s says that %s speaks %s; it may be %v, or –", architecture, m[1], to, protocols)
			}
		}
		rules[m[1]] = rule
	}
	return rules
}

// own is what a package's own code imports and speaks, on any system.
type own struct{ imports, speaks map[string]bool }

// systems are those whose files are looked at.
var systems = []string{"linux", "darwin", "windows"}

// ownCode reads every package but the root, which has tests of the whole alone.
func ownCode(t *testing.T) map[string]own {
	t.Helper()
	all := map[string]own{}
	for _, system := range systems {
		pkgs, err := packages.Load(&packages.Config{Env: append(os.Environ(), "GOOS="+system, "GOARCH=amd64", "CGO_ENABLED=0"),
			Mode: packages.NeedName | packages.NeedFiles | packages.NeedImports | packages.NeedSyntax}, "./...")
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range pkgs {
			name, below := strings.CutPrefix(p.PkgPath, module)
			if !below {
				continue
			}
			if _, there := all[name]; !there {
				all[name] = own{map[string]bool{}, map[string]bool{}}
			}
			for at := range p.Imports {
				all[name].imports[at] = true
				for library, to := range libraries {
					if strings.HasPrefix(at, library) {
						all[name].speaks[to] = true
					}
				}
			}
			for _, f := range p.Syntax {
				maps.Copy(all[name].speaks, spoken(f))
			}
		}
	}
	return all
}

// spoken is what a file speaks by what it uses of packages net and net/http.
func spoken(f *ast.File) map[string]bool {
	speaks, names := map[string]bool{}, map[string]string{}
	for _, spec := range f.Imports {
		at, _ := strconv.Unquote(spec.Path.Value)
		v, watched := values[at]
		switch {
		case !watched:
		case spec.Name == nil:
			names[path.Base(at)] = at
		case spec.Name.Name == ".":
			speaks[v.speaks] = true
		default:
			names[spec.Name.Name] = at
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && names[x.Name] != "" {
				if v := values[names[x.Name]]; !v.these.MatchString(s.Sel.Name) {
					speaks[v.speaks] = true
				}
			}
		}
		return true
	})
	return speaks
}

// TestImportsFollowTheDesign holds every package's imports, on every system, against the
// table of doc/architecture.md, which allows neither less nor more than there is.
// Packages that have tests alone need a row as well.
func TestImportsFollowTheDesign(t *testing.T) {
	rules, code := packageRules(t), ownCode(t)
	for name, is := range code {
		rule, ok := rules[name]
		if !ok {
			t.Errorf("%s has no row in %s: say what its one job is, and what it may import", name, architecture)
			continue
		}
		for at := range is.imports {
			if own, ours := strings.CutPrefix(at, module); ours {
				if !slices.Contains(rule.own, own) {
					t.Errorf("%s imports %s; by %s it may import %v of this module", name, own, architecture, rule.own)
				}
				if rules[own].forTests && !rule.forTests && name != "internal/devstack" {
					t.Errorf("%s imports %s, which is for tests alone by %s", name, own, architecture)
				}
			}
		}
		for _, own := range rule.own {
			if !is.imports[module+own] {
				t.Errorf("%s lets %s import %s, which it does not", architecture, name, own)
			}
		}
		for _, to := range protocols {
			if says := slices.Contains(rule.speaks, to); is.speaks[to] && !says {
				t.Errorf("%s speaks %s, by what it imports or calls; by %s it does not", name, to, architecture)
			} else if says && !is.speaks[to] {
				t.Errorf("%s says that %s speaks %s, and it imports and calls nothing that does", architecture, name, to)
			}
		}
	}
	for name := range rules {
		if _, there := code[name]; !there {
			t.Errorf("%s has a row of %s, which is not there", architecture, name)
		}
	}
}
