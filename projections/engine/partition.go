package engine

import (
	"strings"

	"accountexport/projections"
)

// PartitionOf is the partition that a message belongs to, among those that the
// generation was folded with. It is computed from the subject's last token, as
// the stream's subject transform computes it, rather than read from the token
// that was stored: after the number of partitions was changed, a stream holds
// messages of one account under several stored tokens, and they must still reach
// the same state. Where the number is not known, the stored token is used.
func (s StreamIdentity) PartitionOf(m *projections.Message) int {
	if s.Partitions > 0 {
		last := m.Subject[strings.LastIndexByte(m.Subject, '.')+1:]
		h := uint32(2166136261) // FNV-1a, as in the NATS server's partition()
		for i := range len(last) {
			h = (h ^ uint32(last[i])) * 16777619
		}
		return int(h % uint32(s.Partitions))
	}
	return max(m.Partition, 0) // -1: the subject did not pass the transform
}
