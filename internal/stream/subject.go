package stream

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	published   = "controlplane.*.*" // what producers publish on
	subjectRoot = "controlplane."
)

// destination is the subject transform's, for a number of partitions.
func destination(partitions int) string {
	return fmt.Sprintf("controlplane.{{partition(%d,2)}}.{{wildcard(1)}}.{{wildcard(2)}}", partitions)
}

var transform = regexp.MustCompile(`^controlplane\.\{\{\s*[Pp]artition\(\s*(\d+)\s*,\s*2\s*\)\s*\}\}\.\{\{\s*[Ww]ildcard\(\s*1\s*\)\s*\}\}\.\{\{\s*[Ww]ildcard\(\s*2\s*\)\s*\}\}$`)

// partitionCount reads the number of partitions from a stream's transform.
func partitionCount(t *jetstream.SubjectTransformConfig) (int, error) {
	if t == nil {
		return 0, fmt.Errorf("it has no subject transform; want %s to %s", published, destination(16))
	}
	m := transform.FindStringSubmatch(t.Destination)
	if t.Source != published || m == nil {
		return 0, fmt.Errorf("its subject transform is %s to %s; want %s to %s", t.Source, t.Destination, published, destination(16))
	}
	n, err := strconv.Atoi(m[1])
	if err != nil || n < 1 || n > 4096 {
		return 0, fmt.Errorf("its subject transform has %s partitions; want 1 to 4096", m[1])
	}
	return n, nil
}

// SplitSubject takes a stored subject, controlplane.<p>.account.<id>, apart
// into the one that was published, controlplane.account.<id>, and the
// partition. A subject of another shape is returned as it is, with partition
// -1.
func SplitSubject(stored string) (subject string, partition int) {
	rest, ok := strings.CutPrefix(stored, subjectRoot)
	if !ok {
		return stored, -1
	}
	token, rest, ok := strings.Cut(rest, ".")
	if !ok || len(token) == 0 || len(token) > 4 || strings.Count(rest, ".") != 1 {
		return stored, -1
	}
	for i := range len(token) {
		if token[i] < '0' || token[i] > '9' {
			return stored, -1
		}
		partition = partition*10 + int(token[i]-'0')
	}
	return subjectRoot + rest, partition
}
