package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// Bounds of what is shown of a document.
const (
	// A larger document is not read: `projector export` prints it.
	mostDocument = 64 << 20
	// Of a long section so many items are shown at once.
	itemsPerPage = 50
)

// documentView is a document as a person reads it.
type documentView struct {
	Size     int64          `json:"size"` // bytes of the whole
	Sections []*sectionView `json:"sections"`
}

// sectionView is one section of a document, or of a long one some items.
type sectionView struct {
	Name  string      `json:"name"`
	Title string      `json:"title"`
	List  bool        `json:"list"`
	From  int         `json:"from"` // index of the first item that is shown
	Of    int         `json:"of"`   // how many items there are
	Items []*itemView `json:"items"`
}

// itemView is the user, the team, the tier, or an item of a long section.
type itemView struct {
	ID      string       `json:"id"` // as a change names it; empty for user, team and tier
	Fields  []*fieldView `json:"fields"`
	Changed bool         `json:"changed"` // by the message that the page is about
	Index   int          `json:"index"`   // in its section
	// It is shown since the page is about it, although it is not on this page of the section.
	Elsewhere bool `json:"elsewhere"`
}

// fieldView is a field with the message that has set it.
type fieldView struct {
	Name    string     `json:"name"`
	Value   shownValue `json:"value"`
	Origin  uint64     `json:"origin"`  // position of the account's message that has set it last; 0: not one of those known here
	Changed bool       `json:"changed"` // by the message that the page is about
}

// Until is the index after the last item that is shown.
func (s *sectionView) Until() int { return min(s.Of, s.From+itemsPerPage) }

// Earlier is where the page of items before these begins.
func (s *sectionView) Earlier() int { return max(0, s.From-itemsPerPage) }

// Changed tells whether an item has changed.
func (s *sectionView) Changed() bool {
	for _, it := range s.Items {
		if it.Changed {
			return true
		}
	}
	return false
}

// titles are how sections are headed.
var titles = map[string]string{"user": "User", "team": "Team", "quota_tier": "Quota tier", "quota_usage": "Quota usage",
	"api_keys": "API keys", "sandboxes": "Sandboxes"}

// shownPart says which items of a long section are shown; of the others the first.
type shownPart struct {
	section string
	from    int
	focus   fieldKey // entity and id of an item that is shown wherever it is; the zero value for none
}

// readDocument reads a document section by section: of a long one it keeps only the
// items that are shown, so memory does not grow with it.
func (p Privacy) readDocument(from io.Reader, part shownPart) (*documentView, error) {
	d := jsontext.NewDecoder(from)
	v := &documentView{Sections: []*sectionView{}}
	if _, err := d.ReadToken(); err != nil {
		return nil, fmt.Errorf("read the document: %w", err)
	}
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return nil, fmt.Errorf("read the document: %w", err)
		}
		s := &sectionView{Name: name.String(), Title: titles[name.String()], Items: []*itemView{}}
		if s.Name == part.section {
			s.From = part.from
		}
		focus := ""
		if s.Name == part.focus.entity {
			focus = part.focus.id
		}
		if err := p.readSection(d, s, focus); err != nil {
			return nil, fmt.Errorf("read the document: %w", err)
		}
		v.Sections = append(v.Sections, s)
	}
	_, err := d.ReadToken()
	v.Size = d.InputOffset()
	return v, err
}

// readSection keeps the items of the page, and the one of the id focus.
func (p Privacy) readSection(d *jsontext.Decoder, s *sectionView, focus string) error {
	if d.PeekKind() != '[' {
		s.From = 0
		value, err := d.ReadValue()
		if err != nil || value.Kind() != '{' {
			return err
		}
		item, err := p.readItem(s.Name, value)
		s.Items, s.Of = append(s.Items, item), 1
		return err
	}
	s.List = true
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for ; d.PeekKind() != ']'; s.Of++ {
		onPage := s.Of >= s.From && s.Of < s.From+itemsPerPage
		if !onPage && focus == "" {
			if err := d.SkipValue(); err != nil {
				return err
			}
			continue
		}
		value, err := d.ReadValue()
		if err != nil {
			return err
		}
		if !onPage && idOf(s.Name, value) != focus {
			continue
		}
		item, err := p.readItem(s.Name, value)
		if err != nil {
			return err
		}
		item.Index, item.Elsewhere = s.Of, !onPage
		s.Items = append(s.Items, item)
	}
	s.From = min(s.From, s.Of)
	_, err := d.ReadToken()
	return err
}

// readItem reads an object. Fields stay in their order.
func (p Privacy) readItem(section string, value []byte) (*itemView, error) {
	item, d := &itemView{ID: idOf(section, value)}, jsontext.NewDecoder(bytes.NewReader(value))
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	for d.PeekKind() != '}' {
		token, err := d.ReadToken()
		if err != nil {
			return nil, err
		}
		name := token.String()
		raw, err := d.ReadValue()
		if err != nil {
			return nil, err
		}
		item.Fields = append(item.Fields, &fieldView{Name: name, Value: p.shownValueOf(name, raw)})
	}
	return item, nil
}

// idOf is an item's id, as projections.FieldChange has it.
func idOf(section string, item []byte) string {
	var named struct {
		ID   string `json:"id"`
		Day  string `json:"usage_date"`
		Team string `json:"team_id"`
	}
	switch err := json.Unmarshal(item, &named); {
	case err != nil:
		return ""
	case section == "quota_usage":
		return named.Day + "/" + named.Team
	case section == "api_keys", section == "sandboxes":
		return named.ID
	}
	return ""
}
