package check

// scan follows the brackets of one value.
type scan struct {
	open    []byte // brackets
	text    bool
	escaped bool
	last    byte // but white space
}

// wants tells whether a value can follow: behind a colon, or in a list that is not
// between an element and its comma.
func (s *scan) wants() bool {
	return s.last == ':' || s.last == '[' || s.last == ',' && s.open[len(s.open)-1] == '['
}

type scanned int

const (
	within scanned = iota
	whole
	broken
)

func (s *scan) read(c byte) scanned {
	if s.text {
		switch {
		case c == '\n':
			return broken
		case s.escaped:
			s.escaped = false
		case c == '\\':
			s.escaped = true
		case c == '"':
			s.text = false
		}
		return within
	}
	switch c {
	case ' ', '\t', '\r', '\n':
		return within
	}
	switch s.last = c; c {
	case '"':
		s.text = true
	case '{', '[':
		s.open = append(s.open, c)
	case '}', ']':
		if s.open[len(s.open)-1] != c-2 { // { and } are two apart, and so are [ and ]
			return broken
		}
		if s.open = s.open[:len(s.open)-1]; len(s.open) == 0 {
			return whole
		}
	}
	return within
}

// mark is a bracket that begins a line inside of a value.
type mark struct {
	at   int // in the value
	line int64
	open int // brackets around it
}

// marks are brackets that begin a line and may be those of the next value, the outermost
// first: what follows has not yet shown that they belong to the value they are in.
type marks []mark

// maxMarks bounds how often a byte is read again: so many brackets inside of each other
// may begin lines without anything before them.
const maxMarks = 64

func (m marks) any() bool { return len(m) > 0 }

// follow forgets the marks of which the byte that was read, a comma or a bracket behind
// what they begin, shows that they belong to the value around them.
func (m *marks) follow(c byte, s *scan) {
	if s.text {
		return
	}
	for n := len(*m); n > 0; n = len(*m) {
		switch last := (*m)[n-1]; {
		case c == ',' && len(s.open) == last.open, len(s.open) < last.open:
			*m = (*m)[:n-1]
		default:
			return
		}
	}
}
