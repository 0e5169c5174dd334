package stream

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	published   = "controlplane.*.*" // the subjects that producers publish on
	subjectRoot = "controlplane."
)

// destination returns the destination of the subject transform for a partition count.
func destination(partitions int) string {
	return fmt.Sprintf("controlplane.{{partition(%d,2)}}.{{wildcard(1)}}.{{wildcard(2)}}", partitions)
}

var transform = regexp.MustCompile(`^controlplane\.\{\{\s*[Pp]artition\(\s*(\d+)\s*,\s*2\s*\)\s*\}\}\.\{\{\s*[Ww]ildcard\(\s*1\s*\)\s*\}\}\.\{\{\s*[Ww]ildcard\(\s*2\s*\)\s*\}\}$`)

// partitionCount reads the partition count from a stream's subject transform. The
// error says what the transform is and what it should be.
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

// SplitSubject splits a stored subject, controlplane.<p>.account.<id>, into the
// subject that was published, controlplane.account.<id>, and the partition. A subject
// of another form is returned unchanged, with partition -1.
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
