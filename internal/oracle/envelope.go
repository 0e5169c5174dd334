package oracle

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Message is one message of the stream, with its subject as published: without the
// partition.
type Message struct {
	Position uint64
	Subject  string
	Header   map[string][]string
	Data     []byte
}

// envelope is what a message says about itself. What only a known type requires is
// not checked here.
type envelope struct {
	typ             string
	at              int64
	structured      bool
	datacontenttype []attribute
	dataBase64      *value // structured only
	data            *value // structured only
	payload         []byte // binary only
}

// attribute is one occurrence of an attribute.
type attribute struct {
	text    string
	problem string // why it is not a text, or empty
}

// readEnvelope checks everything that does not depend on the type. A partitionkey
// must equal key.
func (p patterns) readEnvelope(m Message, key string) (envelope, string) {
	contentTypes := header(m.Header, "content-type")
	structured := len(header(m.Header, "ce-specversion")) == 0
	for _, c := range contentTypes {
		switch media, _, _ := strings.Cut(c, ";"); asciiLower(strings.Trim(media, " \t")) {
		case "application/cloudevents-batch+json":
			return envelope{}, "batch: not accepted"
		case "application/cloudevents+json":
			structured = true
		}
	}
	e := envelope{structured: structured}
	var find func(name string) []attribute
	if structured {
		root, err := parseJSON(m.Data, maxEventDepth)
		if err != nil {
			return e, "payload JSON: " + err.Error()
		}
		if root.kind != '{' {
			return e, "payload: not an object"
		}
		find = func(name string) []attribute { return structuredAttribute(root, name) }
		e.data, e.dataBase64 = root.get("data"), root.get("data_base64")
		e.datacontenttype = find("datacontenttype")
	} else {
		find = func(name string) []attribute { return binaryAttribute(m.Header, "ce-"+name) }
		e.payload = m.Data
		e.datacontenttype = find("datacontenttype")
		if len(e.datacontenttype) == 0 {
			e.datacontenttype = binaryAttribute(m.Header, "content-type")
		}
	}
	specversion, problem := required(find, "specversion")
	if problem == "" && specversion != "1.0" {
		problem = "specversion: not 1.0"
	}
	if problem != "" {
		return e, problem
	}
	for _, name := range []string{"id", "source"} {
		if _, problem = required(find, name); problem != "" {
			return e, problem
		}
	}
	if e.typ, problem = required(find, "type"); problem != "" {
		return e, problem
	}
	at, problem := required(find, "time")
	if problem != "" {
		return e, problem
	}
	if e.at, problem = p.readTime(at); problem != "" {
		return e, "time: " + problem
	}
	if pk := find("partitionkey"); len(pk) > 0 {
		switch text, problem := single(pk); {
		case problem != "":
			return e, "partitionkey: " + problem
		case text != key:
			return e, "partitionkey: not the subject's"
		}
	}
	return e, ""
}

// readData checks what only a known type requires, and returns the data.
func (e envelope) readData() (*value, string) {
	if len(e.datacontenttype) > 0 {
		switch text, problem := single(e.datacontenttype); {
		case problem != "":
			return nil, "datacontenttype: " + problem
		case !isJSONMediaType(text):
			return nil, "datacontenttype: not JSON"
		}
	}
	data := e.data
	if e.structured {
		if e.dataBase64 != nil && e.dataBase64.kind != 'n' {
			return nil, "data_base64: not accepted"
		}
	} else {
		var err error
		if data, err = parseJSON(e.payload, maxEventDepth); err != nil {
			return nil, "data JSON: " + err.Error()
		}
	}
	if data == nil || data.kind == 'n' {
		return nil, "data: missing"
	}
	if data.kind != '{' {
		return nil, "data: not an object"
	}
	return data, ""
}

func structuredAttribute(root *value, name string) []attribute {
	switch v := root.get(name); {
	case v == nil || v.kind == 'n':
		return nil
	case v.kind != '"':
		return []attribute{{problem: "not a string"}}
	default:
		return []attribute{{text: v.text}}
	}
}

func binaryAttribute(h map[string][]string, name string) []attribute {
	var found []attribute
	for _, v := range header(h, name) {
		a := attribute{text: percentDecode(v)}
		if !utf8.ValidString(a.text) {
			a.problem = "not UTF-8"
		}
		found = append(found, a)
	}
	return found
}

// single returns the only occurrence if it is valid.
func single(found []attribute) (string, string) {
	switch {
	case len(found) > 1:
		return "", "given twice"
	case found[0].problem != "":
		return "", found[0].problem
	case strings.ContainsFunc(found[0].text, unicode.IsControl):
		return "", "control character"
	}
	return found[0].text, ""
}

func required(find func(string) []attribute, name string) (string, string) {
	found := find(name)
	if len(found) == 0 {
		return "", name + ": missing"
	}
	text, problem := single(found)
	if problem == "" && text == "" {
		problem = "empty"
	}
	if problem != "" {
		return "", name + ": " + problem
	}
	return text, ""
}

// header returns every value under a name, which is lower case, without regard to
// case.
func header(h map[string][]string, name string) []string {
	var names []string
	for n := range h {
		if asciiLower(n) == name {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	var values []string
	for _, n := range names {
		values = append(values, h[n]...)
	}
	return values
}

func asciiLower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

func percentDecode(s string) string {
	var out []byte
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]) {
			out = append(out, hexDigit(s[i+1])<<4|hexDigit(s[i+2]))
			i += 2
			continue
		}
		out = append(out, s[i])
	}
	return string(out)
}

func hexDigit(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	default:
		return c - 'a' + 10
	}
}

func isJSONMediaType(s string) bool {
	media, _, _ := strings.Cut(s, ";")
	major, minor, found := strings.Cut(asciiLower(strings.Trim(media, " \t")), "/")
	if !found || !isToken(major) || !isToken(minor) {
		return false
	}
	return minor == "json" || len(minor) > len("+json") && strings.HasSuffix(minor, "+json")
}

// isToken reports whether s is an RFC 9110 token.
func isToken(s string) bool {
	for _, c := range []byte(s) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return s != ""
}
