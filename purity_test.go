package accountexport_test

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/go/packages"
)

// pure are packages in which nothing but values goes in and comes out.
var pure = strings.Fields(`bytes cmp crypto/sha256 encoding/binary encoding/hex errors maps regexp slices sort strconv strings unicode unicode/utf8
	github.com/go-json-experiment/json github.com/go-json-experiment/json/jsontext`)

// partlyPure are packages of which the fold, and events, may use this much.
var partlyPure = map[string][]string{
	"fmt":      strings.Fields(`Errorf Sprint Sprintf Sprintln Append Appendf Appendln`),
	"io":       strings.Fields(`EOF ErrUnexpectedEOF Writer.Write`), // a hash is a Writer, and no other is to be had
	"net/http": strings.Fields(`Header`),
	"sync":     strings.Fields(`Pool Pool.New Pool.Get Pool.Put`),
	"time":     strings.Fields(`Time Month UTC Date UnixMicro Time.UnixMicro Time.UTC Time.Date Time.Clock Time.Nanosecond`),
}

// fresh are the declarations that make something new of the clock or of randomness, with
// what each uses for that. They are for producers: nothing else in events or the fold may
// use them, so that no reading of an event comes to them.
var fresh = map[string][]string{
	module + "events.NewMeta": {"time.Now", module + "events.NewUUID"},
	module + "events.NewUUID": {"github.com/google/uuid.Must", "github.com/google/uuid.NewV7"},
}

// mutable are the variables of packages that may change: readers that are used again, and
// are begun anew each time.
var mutable = []string{module + "events.readers"}

// TestTheFoldIsPure: the fold, and events, which it reads messages by, have no context, no
// clock, no time zone of this machine, no randomness, no I/O, no goroutine and no
// variable that outlives a call, and are the same code on every system.
func TestTheFoldIsPure(t *testing.T) {
	for _, fault := range impurities(t, nil) {
		t.Error(fault)
	}
}

// TestImpurityIsFound puts in the fold, and in events, what has no place there, a file
// each.
func TestImpurityIsFound(t *testing.T) {
	tests := []struct{ file, text, want string }{
		{"projections/z_counter.go", `var folded int; func count() { folded++ }`, "folded is changed"},
		{"projections/z_memo.go", `var memo = map[int]int{}; func remember(k int) { memo[k] = k }`, "memo is of type map[int]int"},
		{"projections/z_field.go", `var z struct{ n int }; func set1() { z.n = 1 }`, "z is changed"},
		{"projections/z_pointer.go", `var n int; func where() *int { return &n }`, "n is changed"},
		{"projections/z_array.go", `var some [2]byte; func all() []byte { return some[:] }`, "some is changed"},
		{"projections/z_method.go", `type number int; func (n *number) up() { *n++ }; var m number; func more() { m.up() }`, "m is changed"},
		{"projections/z_theirs.go", `import "io"; func wrong() { io.EOF = nil }`, "EOF is changed"},
		{"projections/z_closure.go", `var next = func() func() int { n := 0; return func() int { n++; return n } }()`, "next is of type func() int"},
		{"projections/z_print.go", `import "fmt"; func say() { fmt.Println() }`, "fmt.Println"},
		{"projections/z_read.go", `import "fmt"; func ask() { fmt.Scanln() }`, "fmt.Scanln"},
		{"projections/z_zone.go", `import "time"; func here(at time.Time) string { return at.Local().String() }`, "time.Time.Local"},
		{"projections/z_clock.go", `import . "time"; func clock() Time { return Now() }`, "time.Now"},
		{"projections/z_meta.go", `import "accountexport/events"; func meta() events.Meta { return events.NewMeta("") }`, "events.NewMeta"},
		{"projections/z_go.go", `func beside() { go beside() }`, "a goroutine"},
		{"projections/z_windows.go", ``, "is not built here"},
		{"projections/z_tag.go", `//go:build extra`, "is not built here"},
		{"projections/z_context.go", `import "context"; var _ context.Context`, "projections imports context"},
		{"events/z_clock.go", `import "time"; func clock() time.Time { return time.Now() }`, "time.Now"},
		{"events/z_net.go", `import "net"; func call() { net.Dial("", "") }`, "events imports net"},
		{"events/z_uuid.go", `func other() UUID { return NewUUID() }`, "events.NewUUID"},
	}
	overlay := map[string][]byte{}
	for _, test := range tests {
		text := "package " + filepath.Dir(test.file) + "\n" + test.text
		if strings.HasPrefix(test.text, "//go:build") {
			text = test.text + "\n\npackage " + filepath.Dir(test.file) + "\n"
		}
		overlay[filepath.Join(cwd, test.file)] = []byte(text)
	}
	found := impurities(t, overlay)
	for _, test := range tests {
		if !slices.ContainsFunc(found, func(fault string) bool {
			return strings.Contains(fault, test.want) && (strings.Contains(fault, test.file) || strings.Contains(fault, " imports "))
		}) {
			t.Errorf("nothing is found in %s that says %q: %q", test.file, test.want, found)
		}
	}
}

// impurities are what is wrong with the fold and events; overlay are files beside those
// that are there.
func impurities(t *testing.T, overlay map[string][]byte) (faults []string) {
	t.Helper()
	pkgs, err := packages.Load(&packages.Config{Overlay: overlay, Mode: packages.NeedName | packages.NeedFiles | packages.NeedImports |
		packages.NeedSyntax | packages.NeedTypes | packages.NeedTypesInfo | packages.NeedDeps}, "./events", "./projections")
	if err != nil || len(pkgs) != 2 || len(pkgs[0].Syntax) == 0 || len(pkgs[1].Syntax) == 0 {
		t.Fatal(pkgs, err)
	}
	for _, p := range pkgs {
		if len(p.Errors) > 0 && overlay == nil {
			t.Fatal(p.Errors)
		}
		c := purity{p: p}
		c.imports()
		for _, f := range p.Syntax {
			for _, d := range f.Decls {
				c.declaration(d)
			}
		}
		faults = append(faults, c.faults...)
	}
	return faults
}

// purity looks through one package.
type purity struct {
	p      *packages.Package
	faults []string
}

func (c *purity) fault(at token.Pos, format string, args ...any) {
	position := c.p.Fset.Position(at)
	file, _ := filepath.Rel(cwd, position.Filename)
	c.faults = append(c.faults, fmt.Sprintf("%s:%d: ", file, position.Line)+fmt.Sprintf(format, args...))
}

var cwd, _ = os.Getwd()

// imports checks what the package imports, and that no file is left out on any system.
func (c *purity) imports() {
	for path := range c.p.Imports {
		if _, partly := partlyPure[path]; !partly && !slices.Contains(pure, path) && !strings.HasPrefix(path, module+"events") && path != "github.com/google/uuid" {
			c.faults = append(c.faults, c.p.PkgPath+" imports "+path)
		}
	}
	for _, file := range c.p.IgnoredFiles {
		if strings.HasSuffix(file, ".go") && !strings.HasSuffix(file, "_test.go") {
			c.faults = append(c.faults, file+" is not built here: what is folded is the same on every system")
		}
	}
}

// declaration checks what a declaration uses, changes and starts.
func (c *purity) declaration(d ast.Decl) {
	var may []string
	if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil {
		may = fresh[c.p.PkgPath+"."+f.Name.Name]
	}
	if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.VAR {
		for _, s := range g.Specs {
			for _, name := range s.(*ast.ValueSpec).Names {
				c.variable(name)
			}
		}
	}
	ast.Inspect(d, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt, *ast.SelectStmt, *ast.SendStmt, *ast.ChanType:
			c.fault(n.Pos(), "a goroutine or a channel")
		case *ast.AssignStmt:
			c.changed(n.Lhs...)
		case *ast.IncDecStmt:
			c.changed(n.X)
		case *ast.RangeStmt:
			c.changed(n.Key, n.Value)
		case *ast.UnaryExpr:
			if n.Op == token.AND {
				c.changed(n.X)
			}
		case *ast.SliceExpr: // of an array, it is a pointer into it
			if _, array := c.p.TypesInfo.TypeOf(n.X).Underlying().(*types.Array); array {
				c.changed(n.X)
			}
		case *ast.SelectorExpr: // a method with a pointer for its receiver takes the address
			if s := c.p.TypesInfo.Selections[n]; s != nil && s.Kind() == types.MethodVal {
				_, byPointer := s.Obj().(*types.Func).Signature().Recv().Type().(*types.Pointer)
				if _, pointer := s.Recv().Underlying().(*types.Pointer); byPointer && !pointer {
					c.changed(n.X)
				}
			}
		case *ast.Ident:
			c.used(n, may)
		}
		return true
	})
}

// used checks what another package, or a maker of what is new, has declared.
func (c *purity) used(n *ast.Ident, may []string) {
	o := c.p.TypesInfo.Uses[n]
	if o == nil || o.Pkg() == nil {
		return
	}
	if _, isPackage := o.(*types.PkgName); isPackage {
		return
	}
	name, full := o.Name(), ""
	if f, ok := o.(*types.Func); ok && f.Signature().Recv() != nil {
		of := types.Unalias(f.Signature().Recv().Type())
		if p, ok := of.(*types.Pointer); ok {
			of = p.Elem()
		}
		if named, ok := of.(*types.Named); ok {
			name = named.Obj().Name() + "." + name
		}
	}
	full = o.Pkg().Path() + "." + name
	if slices.Contains(may, full) {
		return
	}
	if _, makesNew := fresh[full]; makesNew || o.Pkg().Path() == "github.com/google/uuid" {
		c.fault(n.Pos(), "%s, which is for producers alone", full)
	}
	v, _ := o.(*types.Var)
	if few, partly := partlyPure[o.Pkg().Path()]; partly && !(v != nil && v.IsField()) && !slices.Contains(few, name) {
		c.fault(n.Pos(), "%s; of package %s only this may be used: %v", full, o.Pkg().Path(), few)
	}
}

// variable checks that nothing can change through a variable of the package.
func (c *purity) variable(n *ast.Ident) {
	v, ok := c.p.TypesInfo.Defs[n].(*types.Var)
	if ok && v.Name() != "_" && !slices.Contains(mutable, v.Pkg().Path()+"."+v.Name()) && !constant(v.Type()) {
		c.fault(n.Pos(), "variable %s is of type %s, by which calls could leave something behind: a function with a switch does the same", v.Name(), v.Type())
	}
}

// constant tells that a value of the type leads to nothing that could change.
func constant(of types.Type) bool {
	if of.String() == "error" || of.String() == "*regexp.Regexp" {
		return true
	}
	switch of := of.Underlying().(type) {
	case *types.Basic:
		return true
	case *types.Array:
		return constant(of.Elem())
	case *types.Struct:
		for field := range of.Fields() {
			if !constant(field.Type()) {
				return false
			}
		}
		return true
	}
	return false
}

// changed checks that what is changed, or may be, is no variable of a package.
func (c *purity) changed(all ...ast.Expr) {
	for _, x := range all {
		for at := x; at != nil; {
			switch e := at.(type) {
			case *ast.ParenExpr:
				at = e.X
				continue
			case *ast.IndexExpr:
				at = e.X
				continue
			case *ast.SelectorExpr:
				if at = e.X; c.isVariable(e.Sel) {
					c.fault(x.Pos(), "%s is changed, or can be", e.Sel.Name)
					at = nil
				}
				continue
			case *ast.Ident:
				if c.isVariable(e) {
					c.fault(x.Pos(), "%s is changed, or can be", e.Name)
				}
			}
			break
		}
	}
}

// isVariable tells that a name is that of a variable of a package.
func (c *purity) isVariable(n *ast.Ident) bool {
	v, ok := c.p.TypesInfo.Uses[n].(*types.Var)
	return ok && !v.IsField() && v.Pkg() != nil && v.Parent() == v.Pkg().Scope() && !slices.Contains(mutable, v.Pkg().Path()+"."+v.Name())
}
