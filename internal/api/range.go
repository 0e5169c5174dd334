package api

import (
	"net/http"
	"strconv"
	"strings"

	"accountexport/readmodel/export"
)

// representation is what a request wants of a document: the coding, and the range of
// bytes. It is decided once the document's version and size are known.
type representation struct {
	codings   acceptedCodings
	head      bool
	span      span    // of the Range field; absent if that is missing or is ignored
	condition *string // If-Range; nil if absent

	coding        coding
	stored        bool // the document comes as it is stored, in gzip
	from, to      int64
	partial       bool
	unsatisfiable bool
}

// newRepresentation reads from a request what it wants; decide settles it later.
func newRepresentation(r *http.Request) *representation {
	p := &representation{codings: parseAcceptEncoding(r.Header["Accept-Encoding"]), head: r.Method == http.MethodHead}
	if ranges := r.Header["Range"]; len(ranges) == 1 && !p.head { // Range is defined for GET alone (RFC 9110 §14.2)
		p.span = parseRange(ranges[0])
	}
	if fields := r.Header["If-Range"]; p.span.present && len(fields) > 0 {
		condition := strings.Join(fields, ", ")
		p.condition = &condition
	}
	return p
}

// choice returns the function by which the read model asks for the range; nil stands
// for the whole document.
func (p *representation) choice() export.RangeFunc {
	if !p.head && !p.span.present && p.codings.any {
		return nil
	}
	return func(m *export.Meta, size int64) (from, to int64) {
		p.decide(m, size)
		return p.from, p.to
	}
}

// decide settles what is sent. Ranges refer to uncompressed JSON: they are ignored if
// the answer is compressed, or if If-Range names another version (RFC 9110 §13.1.5).
func (p *representation) decide(m *export.Meta, size int64) {
	p.coding = p.codings.of(size)
	if p.stored {
		p.coding = gzipped
	}
	p.from, p.to, p.partial, p.unsatisfiable = 0, size, false, false
	switch {
	case !p.codings.any, p.head && (p.coding == identity || size > codedWhole):
		p.to = 0
	case p.coding != identity || !p.span.present:
	case p.condition != nil && *p.condition != m.ETag(): // an empty value, a weak tag and a date never match
	default:
		if p.from, p.to, p.partial = p.span.in(size); !p.partial {
			p.unsatisfiable = true
		}
	}
}

// span is one byte range (RFC 9110 §14.1.2): from first to last, or, if first is -1,
// the last that many bytes.
type span struct {
	present     bool
	first, last int64
}

const toTheEnd = 1<<63 - 1

// parseRange parses a Range field with one range of bytes. A malformed one, one in
// another unit, and several ranges are ignored, as the RFC allows.
func parseRange(field string) span {
	unit, set, ok := strings.Cut(field, "=")
	set = strings.Trim(set, " \t,")
	if !ok || !strings.EqualFold(unit, "bytes") || strings.Contains(set, ",") {
		return span{}
	}
	a, b, ok := strings.Cut(set, "-")
	first, last := int64(-1), int64(toTheEnd)
	var good bool
	if a != "" {
		if first, good = number(a); !good {
			return span{}
		}
	}
	if b != "" {
		if last, good = number(b); !good {
			return span{}
		}
	}
	if !ok || a == "" && b == "" || last < first {
		return span{}
	}
	return span{true, first, last}
}

// number parses a number of digits only. One that is too large counts as beyond the
// end of any document.
func number(s string) (int64, bool) {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		n = toTheEnd
	}
	return n, true
}

// in returns the part of a document of this size that the span selects. ok is false
// if it selects nothing.
func (s span) in(size int64) (from, to int64, ok bool) {
	if s.first < 0 {
		from, to = max(0, size-s.last), size
	} else {
		from, to = s.first, min(s.last, size-1)+1
	}
	if from >= to {
		return 0, 0, false
	}
	return from, to, true
}
