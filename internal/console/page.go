package console

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"
)

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed assets
var assetFiles embed.FS

// pages are the templates. templates/layout.html holds the frame, templates/parts.html
// what several screens use, and each other file defines "NAME", the body of that screen,
// "title NAME" where the title depends on the view, and "live NAME" where the screen has a
// part that follows what happens.
type pages struct{ set *template.Template }

func loadPages() (*pages, error) {
	set, err := template.New("").Funcs(functions()).ParseFS(templateFiles, "templates/*.html")
	if err != nil {
		return nil, fmt.Errorf("the console's pages: %w", err)
	}
	return &pages{set}, nil
}

// link is an entry of the navigation.
type link struct{ Path, Name, Title string }

// nav is the navigation, in its order.
var nav = []link{
	{"/", "overview", "Overview"},
	{"/accounts", "accounts", "Accounts"},
	{"/parked", "parked", "Parked"},
	{"/generations", "generations", "Generations"},
	{"/stream", "stream", "Stream"},
	{"/erasures", "erasures", "Erasures"},
	{"/audit", "audit", "Audit"},
}

// frame is what the layout shows around a screen.
type frame struct {
	Name    string
	Title   string
	Section string // the entry of the navigation that the page is below; empty for none
	Nav     []link
	User    string
	MayAct  bool
	Masked  bool
	Styles  []string // assets that this screen has of its own
	Scripts []string
	Live    string // the topic of /events that the page follows; empty for none
	Content template.HTML
	Banner  *jobView // of an act that was asked for on the page before; nil for none
}

// sectionOf is the screen that a path is below.
func sectionOf(path string) string {
	for _, l := range nav {
		if strings.HasPrefix(path, l.Path+"/") {
			return l.Name
		}
	}
	return ""
}

// page renders a screen. The page is whole or it is not sent at all.
func (c *Console) page(w http.ResponseWriter, r *http.Request, status int, name string, v any) {
	body, err := c.render(name, v)
	f := frame{Name: name, Title: titleOf(name, v), Section: sectionOf(r.URL.Path), Nav: nav, User: userOf(r), MayAct: c.cfg.AllowActs, Masked: c.cfg.Privacy != Full,
		Content: template.HTML(body)} //nolint:gosec // made by html/template
	f.Styles, f.Scripts = ownAssets(name)
	if l, ok := v.(interface{ liveTopic() string }); ok {
		f.Live = l.liveTopic()
	}
	if j := c.jobs.find(r.URL.Query().Get("job")); j != nil && name != "job" && f.User != "" && c.lookAtJob(r.Context(), f.User, j) == nil {
		f.Banner = j.view()
	}
	var page []byte
	if err == nil {
		page, err = c.render("layout", f)
	}
	if err != nil {
		c.log.Error("a page cannot be rendered", "screen", name, "error", err)
		http.Error(w, "This page cannot be shown; the console's log says why.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(page) // whoever asked has gone
}

// ownAssets are NAME.css and NAME.js, where a screen has them.
func ownAssets(name string) (styles, scripts []string) {
	has := func(file string) bool {
		_, err := fs.Stat(assetFiles, "assets/"+file)
		return err == nil
	}
	if has(name + ".css") {
		styles = []string{name + ".css"}
	}
	if has(name + ".js") {
		scripts = []string{name + ".js"}
	}
	return styles, scripts
}

func (c *Console) render(name string, v any) ([]byte, error) {
	var b bytes.Buffer
	if err := c.pages.set.ExecuteTemplate(&b, name, v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func titleOf(name string, v any) string {
	if t, ok := v.(interface{ pageTitle() string }); ok {
		return t.pageTitle()
	}
	for _, l := range nav {
		if l.Name == name {
			return l.Title
		}
	}
	return "Console"
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		http.Error(w, "this cannot be written as JSON", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n'))
}

// assets serves the style and the script. They change with the program, so a browser asks
// each time whether they have.
func assets() http.Handler {
	files, err := fs.Sub(assetFiles, "assets")
	if err != nil {
		panic(err) // they are embedded
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(path.Clean(r.URL.Path), "/assets/")
		b, err := fs.ReadFile(files, name)
		if err != nil {
			http.NotFound(w, r)
			return
		}
		kind := map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}[path.Ext(name)]
		w.Header().Set("Content-Type", kind)
		_, _ = w.Write(b)
	})
}
