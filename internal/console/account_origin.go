package console

// fieldKey names a field of a document as a change does.
type fieldKey struct{ entity, id, field string }

// setOrigins finds for each field that is shown the account's message that has set it
// last, up to a position, and notes what the message at that position has changed where
// mark is set. It goes backwards from there, and ends once all are found.
//
// Fields of the tier are left out: a tier is shared, and its own messages define it.
func (h *history) setOrigins(v *documentView, upTo uint64, mark bool) error {
	wanted := map[fieldKey]*fieldView{}
	items := map[fieldKey]*itemView{}
	for _, s := range v.Sections {
		if s.Name == "quota_tier" {
			continue
		}
		for _, item := range s.Items {
			for _, f := range item.Fields {
				key := fieldKey{s.Name, item.ID, f.Name}
				wanted[key], items[key] = f, item
			}
		}
	}
	for i := h.upTo(upTo) - 1; i >= 0 && len(wanted) > 0; i-- {
		ref := h.entries[i]
		if ref.outcome != outcomeApplied {
			continue
		}
		b, err := h.kept.read(ref.at, int(ref.size))
		if err != nil {
			return err
		}
		if err := changedFields(b, func(entity, id, field []byte) bool {
			key := fieldKey{string(entity), string(id), string(field)}
			if f := wanted[key]; f != nil {
				f.Origin = ref.position
				if mark && ref.position == upTo {
					f.Changed, items[key].Changed = true, true
				}
				delete(wanted, key)
			}
			return len(wanted) > 0
		}); err != nil {
			return err
		}
	}
	return nil
}

// outcomeApplied is projections.Applied in words.
const outcomeApplied = "applied"

// upTo is how many messages there are up to a position.
func (h *history) upTo(position uint64) int {
	low, high := 0, len(h.entries)
	for low < high {
		if mid := (low + high) / 2; h.entries[mid].position <= position {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}
