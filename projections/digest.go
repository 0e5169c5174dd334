package projections

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strconv"

	"accountexport/events"
)

// Digest is a sum over all that is stored of one account. Its parts are the user, the
// team, the live tails, every sealed page, every waiting patch and every parked
// message. Of each part it adds the first 124 bits of a SHA-256, in two halves modulo
// 2^62, so that PostgreSQL can add them as integers. The order of the parts does not
// matter, and a part that changes has its old summand subtracted: a batch changes the
// digest without reading the other parts.
//
// Content is hashed uncompressed. What follows from the content is not hashed again:
// the directory of items, the numbers of pages and of waiting patches, and the
// tier's name. Nor are positions, except those of parked messages, the partition, the
// projection version, the words in which a message was refused, and dismissals. The
// same messages give the same digest, however they are cut into batches.
//
// What is hashed, and how it is added, is fixed for as long as there are rows. A sum
// reveals every accidental difference. Somebody who can choose thousands of parts can
// find two sets of parts with the same sum, but not two folds of the same messages
// that differ; so there is nothing to gain.
type Digest [2]uint64

const digestMask = 1<<62 - 1

// Plus is the digest of the parts of both.
func (d Digest) Plus(o Digest) Digest {
	return Digest{(d[0] + o[0]) & digestMask, (d[1] + o[1]) & digestMask}
}

// Minus is the digest without the parts of o.
func (d Digest) Minus(o Digest) Digest {
	return Digest{(d[0] - o[0]) & digestMask, (d[1] - o[1]) & digestMask}
}

// String is the digest in hexadecimal.
func (d Digest) String() string { return fmt.Sprintf("%016x%016x", d[0], d[1]) }

// partKind is a kind of part. The numbers are hashed.
type partKind byte

const (
	userPart      partKind = 1
	teamPart      partKind = 2
	tailPart      partKind = 3 // key: the section
	lowPart       partKind = 4 // lowest usage day of the tail
	pagePart      partKind = 5 // key: the section and the page's key
	waitingPart   partKind = 6 // key: the entity's kind and id
	parkedPart    partKind = 7 // key: the position
	tombstonePart partKind = 8 // key: when
)

// digestPart hashes the kind, the length of the key, the key and the content.
func digestPart(kind partKind, key string, content []byte) Digest {
	h := sha256.New()
	head := binary.AppendUvarint(append(make([]byte, 0, 64), byte(kind)), uint64(len(key)))
	h.Write(append(head, key...))
	h.Write(content)
	var sum [sha256.Size]byte
	h.Sum(sum[:0])
	return Digest{binary.BigEndian.Uint64(sum[:]) & digestMask, binary.BigEndian.Uint64(sum[8:]) & digestMask}
}

// digestColumn is a part of the row, which counts only if it is not empty.
func digestColumn(kind partKind, key string, content []byte) Digest {
	if len(content) == 0 {
		return Digest{}
	}
	return digestPart(kind, key, content)
}

func digestTail(s SectionKind, tail []byte) Digest {
	return digestColumn(tailPart, strconv.Itoa(int(s)), tail)
}

func digestLow(low string) Digest { return digestColumn(lowPart, "", []byte(low)) }

// DigestTombstone is the digest of an account that was erased at a time: its tombstone is
// all that is stored of it.
func DigestTombstone(at events.Time) Digest {
	return digestPart(tombstonePart, strconv.FormatInt(int64(at), 10), nil)
}

// DigestRow is the summand of a row as it is stored.
func DigestRow(r *AccountRow) Digest {
	if r.ErasedAt != nil {
		return DigestTombstone(*r.ErasedAt)
	}
	return digestColumn(userPart, "", r.User).Plus(digestColumn(teamPart, "", r.Team)).Plus(digestTail(UsageSection, r.Usage)).
		Plus(digestTail(KeySection, r.Keys)).Plus(digestTail(SandboxSection, r.Sandboxes)).Plus(digestLow(r.UsageLow))
}

// DigestPage is the summand of a sealed page as it is stored.
func DigestPage(s SectionKind, key string, body []byte) Digest {
	return digestPart(pagePart, strconv.Itoa(int(s))+"/"+key, body)
}

// DigestWaiting is the summand of a waiting patch as it is stored.
func DigestWaiting(e EntityKind, id string, patch []byte) Digest {
	return digestPart(waitingPart, strconv.Itoa(int(e))+"/"+id, patch)
}

// DigestParked is the summand of a parked message.
func DigestParked(position uint64, payload []byte) Digest {
	return digestPart(parkedPart, strconv.FormatUint(position, 10), payload)
}

// replace exchanges the summand of a part: old, which becomes the new one.
func (d *Digest) replace(old *Digest, by Digest) {
	*d = d.Plus(by).Minus(*old)
	*old = by
}
