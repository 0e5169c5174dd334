package importer

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"

	"accountexport/internal/ingest"
)

// digest is the first half of a SHA-256.
type digest [16]byte

func digestOf(b []byte) digest {
	sum := sha256.Sum256(b)
	return digest(sum[:16])
}

// MarshalText implements [encoding.TextMarshaler].
func (d digest) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, d[:]), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (d *digest) UnmarshalText(b []byte) error {
	if len(b) != hex.EncodedLen(len(d)) {
		return fmt.Errorf("found a digest of %d digits, want %d", len(b), hex.EncodedLen(len(d)))
	}
	_, err := hex.Decode(d[:], b)
	return err
}

// ahead are lines behind one that the server has refused which are published
// already, or may be: they were in the same window, for other subjects. The lines
// between, and their numbers, may change until they are read again.
type ahead struct {
	After uint64            `json:"after"` // their messages are searched for behind this position
	Lines map[digest]digest `json:"lines"` // of the line, by that of its id
}

// has tells whether the line with an id is among them, and has the text it had.
func (a *ahead) has(id string, line []byte) (published, same bool) {
	if a == nil {
		return false, false
	}
	was, published := a.Lines[digestOf([]byte(id))]
	return published, published && was == digestOf(line)
}

// without is a copy without these items; nil where none is left.
func (a *ahead) without(items []ingest.Item) *ahead {
	if a == nil {
		return nil
	}
	left := maps.Clone(a.Lines)
	for _, item := range items {
		delete(left, digestOf([]byte(item.ID)))
	}
	if len(left) == 0 {
		return nil
	}
	return &ahead{a.After, left}
}
