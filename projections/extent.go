package projections

// Extent is how much there is of each part of an account.
type Extent struct {
	Entities [5]int // user, team, usage days, keys, sandboxes
	Bytes    [5]int
}

// partNames are the names of the parts of an [Extent].
var partNames = [5]string{"user", "team", "quota_usage", "api_keys", "sandboxes"}

// ExtentOf is the extent of a row as it is stored, without its sealed pages.
func ExtentOf(r *AccountRow) (e Extent) {
	for i, part := range [][]byte{r.User, r.Team, r.Usage, r.Keys, r.Sandboxes} {
		e.add(i, part)
	}
	return e
}

// AddPage adds a sealed page of a section.
func (e *Extent) AddPage(s SectionKind, body []byte) { e.add(1+int(s), body) }

func (e *Extent) add(part int, body []byte) {
	e.Bytes[part] += len(body)
	// Where stored JSON is corrupt, the entities before that count.
	_ = splitItems(body, func([]byte) error {
		e.Entities[part]++
		return nil
	})
}

// Less names the first part that e has less of than the other extent: fewer entities or,
// with bytes, fewer bytes. It is empty where there is none.
func (e Extent) Less(than Extent, bytes bool) string {
	for i, name := range partNames {
		if e.Entities[i] < than.Entities[i] || bytes && e.Bytes[i] < than.Bytes[i] {
			return name
		}
	}
	return ""
}
