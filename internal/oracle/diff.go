package oracle

import (
	"fmt"
	"math"
)

// Diff compares two JSON documents: number literals and the order of members
// exactly, strings by their decoded values. It returns where they first differ and
// how, or an empty string if they are the same. A document may nest deeper than an
// event, since an event's metadata is a level further down in it.
func Diff(wantDoc, gotDoc []byte) string {
	want, err := parseJSON(wantDoc, math.MaxInt)
	if err != nil {
		return "wanted document: " + err.Error()
	}
	got, err := parseJSON(gotDoc, math.MaxInt)
	if err != nil {
		return "document: " + err.Error()
	}
	return diff("$", want, got)
}

func diff(path string, want, got *value) string {
	if want.kind != got.kind {
		return fmt.Sprintf("%s: want %s, got %s", path, shorten(want.raw), shorten(got.raw))
	}
	switch want.kind {
	case '{':
		return diffMembers(path, want, got)
	case '[':
		for i := range min(len(want.items), len(got.items)) {
			if d := diff(fmt.Sprintf("%s[%d]", path, i), want.items[i], got.items[i]); d != "" {
				return d
			}
		}
		if len(want.items) != len(got.items) {
			return fmt.Sprintf("%s: want %d items, got %d", path, len(want.items), len(got.items))
		}
	case '"':
		if want.text != got.text {
			return fmt.Sprintf("%s: want %s, got %s", path, shorten(want.raw), shorten(got.raw))
		}
	default:
		if string(want.raw) != string(got.raw) {
			return fmt.Sprintf("%s: want %s, got %s", path, shorten(want.raw), shorten(got.raw))
		}
	}
	return ""
}

func diffMembers(path string, want, got *value) string {
	for i := range min(len(want.members), len(got.members)) {
		w, g := want.members[i], got.members[i]
		if w.name != g.name {
			return fmt.Sprintf("%s: want member %d %q, got %q", path, i, w.name, g.name)
		}
		if d := diff(path+"."+w.name, w.value, g.value); d != "" {
			return d
		}
	}
	if len(want.members) != len(got.members) {
		return fmt.Sprintf("%s: want %d members, got %d", path, len(want.members), len(got.members))
	}
	return ""
}

func shorten(b []byte) string {
	if len(b) > 80 {
		return fmt.Sprintf("%s… (%d bytes)", b[:80], len(b))
	}
	return string(b)
}
