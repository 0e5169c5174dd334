package stream

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"
)

func TestSplitSubject(t *testing.T) {
	for _, tc := range []struct {
		stored, subject string
		partition       int
	}{
		{"controlplane.0.account.x", "controlplane.account.x", 0},
		{"controlplane.15.account.3c90c3cc-0d44-4b50-8888-8dd25736052a", "controlplane.account.3c90c3cc-0d44-4b50-8888-8dd25736052a", 15},
		{"controlplane.7.quota_tier.pro", "controlplane.quota_tier.pro", 7},
		{"controlplane.7.anything.else", "controlplane.anything.else", 7},
		{"controlplane.3.7.7", "controlplane.7.7", 3},
		// Subjects that the transform does not produce.
		{"controlplane.account.x", "controlplane.account.x", -1},
		{"controlplane.1.account", "controlplane.1.account", -1},
		{"controlplane.1.account.x.y", "controlplane.1.account.x.y", -1},
		{"controlplane.-1.account.x", "controlplane.-1.account.x", -1},
		{"controlplane.1a.account.x", "controlplane.1a.account.x", -1},
		{"controlplane..account.x", "controlplane..account.x", -1},
		{"controlplane.99999999999999999999.account.x", "controlplane.99999999999999999999.account.x", -1},
		{"other.1.account.x", "other.1.account.x", -1},
		{"controlplane", "controlplane", -1},
		{"", "", -1},
	} {
		subject, partition := SplitSubject(tc.stored)
		if subject != tc.subject || partition != tc.partition {
			t.Errorf("SplitSubject(%q) = %q, %d; want %q, %d", tc.stored, subject, partition, tc.subject, tc.partition)
		}
	}
}

func TestPartitionsAreReadFromTheTransform(t *testing.T) {
	transform := func(src, dst string) *jetstream.SubjectTransformConfig {
		return &jetstream.SubjectTransformConfig{Source: src, Destination: dst}
	}
	for _, tc := range []struct {
		name string
		in   *jetstream.SubjectTransformConfig
		want int // 0: refused
	}{
		{"as created", transform("controlplane.*.*", "controlplane.{{partition(16,2)}}.{{wildcard(1)}}.{{wildcard(2)}}"), 16},
		{"one", transform("controlplane.*.*", "controlplane.{{partition(1,2)}}.{{wildcard(1)}}.{{wildcard(2)}}"), 1},
		{"many, other spelling", transform("controlplane.*.*", "controlplane.{{ Partition( 128 , 2 ) }}.{{ Wildcard(1) }}.{{wildcard( 2 )}}"), 128},
		{"none", nil, 0},
		{"no partitions", transform("controlplane.*.*", "controlplane.{{partition(0,2)}}.{{wildcard(1)}}.{{wildcard(2)}}"), 0},
		{"by kind", transform("controlplane.*.*", "controlplane.{{partition(16,1)}}.{{wildcard(1)}}.{{wildcard(2)}}"), 0},
		{"by both", transform("controlplane.*.*", "controlplane.{{partition(16,1,2)}}.{{wildcard(1)}}.{{wildcard(2)}}"), 0},
		{"turned round", transform("controlplane.*.*", "controlplane.{{partition(16,2)}}.{{wildcard(2)}}.{{wildcard(1)}}"), 0},
		{"at the end", transform("controlplane.*.*", "controlplane.{{wildcard(1)}}.{{wildcard(2)}}.{{partition(16,2)}}"), 0},
		{"other source", transform("controlplane.>", "controlplane.{{partition(16,2)}}.{{wildcard(1)}}.{{wildcard(2)}}"), 0},
		{"longer", transform("controlplane.*.*", "controlplane.{{partition(16,2)}}.{{wildcard(1)}}.{{wildcard(2)}}.x"), 0},
		{"too large", transform("controlplane.*.*", "controlplane.{{partition(99999999999999999999,2)}}.{{wildcard(1)}}.{{wildcard(2)}}"), 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := partitionCount(tc.in)
			if got != tc.want || (err == nil) != (tc.want > 0) {
				t.Errorf("got %d, %v; want %d", got, err, tc.want)
			}
		})
	}
}

func TestReplySubjects(t *testing.T) {
	at := time.Unix(0, 1780000000123456789)
	for _, tc := range []struct {
		reply string
		want  delivery
		ok    bool
	}{
		{"$JS.ACK.S.C.1.70.7.1780000000123456789.3", delivery{stream: 70, consumer: 7, at: at}, true},
		{"$JS.ACK._.HASH.S.C.1.70.7.1780000000123456789.3.random", delivery{stream: 70, consumer: 7, at: at}, true},
		{"$JS.ACK.domain.HASH.S.C.1.70.7.1780000000123456789.3", delivery{stream: 70, consumer: 7, at: at}, true},
		{"$JS.ACK.S.C.1.18446744073709551615.7.1780000000123456789.3", delivery{stream: 1<<64 - 1, consumer: 7, at: at}, true},
		{reply: ""},
		{reply: "_INBOX.x"},
		{reply: "$JS.ACK"},
		{reply: "$JS.ACK.S.C.1.70.7.1780000000123456789"},
		{reply: "$JS.ACK._.S.C.1.70.7.1780000000123456789.3"},
		{reply: "$JS.NAK.S.C.1.70.7.1780000000123456789.3"},
		{reply: "$JS.ACK.S.C.1.x.7.1780000000123456789.3"},
		{reply: "$JS.ACK.S.C.1.70.-7.1780000000123456789.3"},
		{reply: "$JS.ACK.S.C.1.70..1780000000123456789.3"},
		{reply: "$JS.ACK.S.C.1.18446744073709551616.7.1780000000123456789.3"},
		{reply: "$JS.ACK.S.C.1.70.7.later.3"},
	} {
		got, err := parseReply(tc.reply)
		if (err == nil) != tc.ok {
			t.Errorf("parseReply(%q): %v", tc.reply, err)
			continue
		}
		if tc.ok && !cmp.Equal(got, tc.want, cmp.AllowUnexported(delivery{})) {
			t.Errorf("parseReply(%q) = %+v, want %+v", tc.reply, got, tc.want)
		}
	}
}
