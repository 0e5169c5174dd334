package console

import (
	"net/url"
	"strconv"
	"strings"
)

// partOf reads which items of a long section are wanted, and which item is to be among
// them.
func partOf(q url.Values) (p shownPart, err error) {
	p.section = q.Get("section")
	if parts := strings.SplitN(q.Get("field"), " ", 3); len(parts) == 3 {
		p.focus = fieldKey{entity: parts[0], id: parts[2]}
	}
	p.from, err = numberOf(q, "items", 0)
	return p, err
}

// Slides tells whether there is a past to show.
func (v *accountView) Slides() bool {
	return v.Timeline != nil && v.Timeline.All > 0 && v.State != stateErased
}

// Earlier is the position of the message before the moment that is shown; 0: none.
func (v *accountView) Earlier() uint64 {
	switch {
	case v.Moment != nil:
		return v.Moment.Previous
	case v.Timeline != nil:
		return v.Timeline.previous
	}
	return 0
}

// Later is the position of the message after the moment that is shown; 0: none.
func (v *accountView) Later() uint64 {
	if v.Moment != nil {
		return v.Moment.Next
	}
	return 0
}

// OriginLink leads from a field to the message that has set it last.
func (v *accountView) OriginLink(s *sectionView, item *itemView, f *fieldView) string {
	q := url.Values{"message": {strconv.FormatUint(f.Origin, 10)}, "field": {s.Name + " " + f.Name + " " + item.ID}}
	for _, name := range []string{"at", "section", "items"} {
		if value := v.query.Get(name); value != "" {
			q.Set(name, value)
		}
	}
	return v.path(q) + "#m" + strconv.FormatUint(f.Origin, 10)
}

// ItemsLink leads to the items of a section from an index on.
func (v *accountView) ItemsLink(s *sectionView, from int) string {
	q := url.Values{"section": {s.Name}, "items": {strconv.Itoa(from)}}
	if at := v.query.Get("at"); at != "" {
		q.Set("at", at)
	}
	return v.path(q) + "#section-" + s.Name
}

// AtLink leads to the document as it was at a position; 0: as it is.
func (v *accountView) AtLink(at uint64) string {
	q := url.Values{}
	if at > 0 {
		q.Set("at", strconv.FormatUint(at, 10))
	}
	return v.path(q) + "#document"
}

// TimelineLink leads to a page of the timeline, that begins with an index of what the
// filter selects.
func (v *accountView) TimelineLink(first int) string {
	q := url.Values{"first": {strconv.Itoa(first)}}
	for _, name := range []string{"at", "type", "outcome"} {
		if value := v.query.Get(name); value != "" {
			q.Set(name, value)
		}
	}
	return v.path(q) + "#timeline"
}

func (v *accountView) path(q url.Values) string {
	return (&url.URL{Path: "/accounts/" + v.Account, RawQuery: q.Encode()}).String()
}
