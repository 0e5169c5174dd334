package engine

import (
	"strings"

	"accountexport/projections"
)

// PartitionOf is the partition, of those that the generation was folded with,
// that a message belongs to. It is told by the subject's last token, as the
// stream's transform tells it, and not by the token that is stored: a stream
// whose number of partitions was changed holds messages of one account under
// several of those, and they must meet in one state. Where the number is not
// known, the stored token has to do.
func (s StreamIdentity) PartitionOf(m *projections.Message) int {
	if s.Partitions > 0 {
		last := m.Subject[strings.LastIndexByte(m.Subject, '.')+1:]
		h := uint32(2166136261) // FNV-1a, as in the server's partition()
		for i := range len(last) {
			h = (h ^ uint32(last[i])) * 16777619
		}
		return int(h % uint32(s.Partitions))
	}
	return max(m.Partition, 0) // a subject that no transform made
}
