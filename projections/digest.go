package projections

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strconv"

	"accountexport/events"
)

// Digest is a sum over all that is stored of one account: of its user, its
// team, its live tails, every sealed page, every waiting patch and every
// parked message the first 124 bits of a SHA-256, added up in two halves
// modulo 2^62 each, so that PostgreSQL adds them as integers. The order of the
// parts does not matter, and a part that changes takes its old summand out: a
// batch changes the digest without reading other parts.
//
// Content is summed up uncompressed, and what follows from it (the directory
// of items, the numbers of pages and of what waits, the tier's name) is not
// summed up again. Positions are not in it, those of parked messages aside, nor
// are the partition, the projection version, the words in which a message was
// refused, and dismissals. The same messages give the same digest, however
// they are cut into batches.
//
// What is hashed and how it is added is fixed for as long as there are rows.
// A sum tells every difference that nobody aims at. Who chooses thousands of
// parts can find two sets of them with one sum, but not two folds of the same
// messages that differ; so there is nothing to gain.
type Digest [2]uint64

const digestMask = 1<<62 - 1

// Plus is the digest of what either of the two is of.
func (d Digest) Plus(o Digest) Digest {
	return Digest{(d[0] + o[0]) & digestMask, (d[1] + o[1]) & digestMask}
}

// Minus takes parts out.
func (d Digest) Minus(o Digest) Digest {
	return Digest{(d[0] - o[0]) & digestMask, (d[1] - o[1]) & digestMask}
}

// String is the digest in hexadecimal.
func (d Digest) String() string { return fmt.Sprintf("%016x%016x", d[0], d[1]) }

// The kinds of parts. The numbers are hashed.
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

// digestPart hashes kind, length of the key, key and content, one after the
// other. A part of the row that is empty is none.
func digestPart(kind partKind, key string, content []byte) Digest {
	h := sha256.New()
	head := binary.AppendUvarint(append(make([]byte, 0, 64), byte(kind)), uint64(len(key)))
	h.Write(append(head, key...))
	h.Write(content)
	var sum [sha256.Size]byte
	h.Sum(sum[:0])
	return Digest{binary.BigEndian.Uint64(sum[:]) & digestMask, binary.BigEndian.Uint64(sum[8:]) & digestMask}
}

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

// DigestTombstone is the digest of all that is stored of an account that was
// erased at a time.
func DigestTombstone(at events.Time) Digest {
	return digestPart(tombstonePart, strconv.FormatInt(int64(at), 10), nil)
}

// DigestRow is the part of a row as it is stored.
func DigestRow(r *AccountRow) Digest {
	if r.ErasedAt != nil {
		return DigestTombstone(*r.ErasedAt)
	}
	return digestColumn(userPart, "", r.User).Plus(digestColumn(teamPart, "", r.Team)).Plus(digestTail(UsageSection, r.Usage)).
		Plus(digestTail(KeySection, r.Keys)).Plus(digestTail(SandboxSection, r.Sandboxes)).Plus(digestLow(r.UsageLow))
}

// DigestPage is the part of a sealed page as it is stored.
func DigestPage(s SectionKind, key string, body []byte) Digest {
	return digestPart(pagePart, strconv.Itoa(int(s))+"/"+key, body)
}

// DigestWaiting is the part of what waits for an entity, as it is stored.
func DigestWaiting(e EntityKind, id string, patch []byte) Digest {
	return digestPart(waitingPart, strconv.Itoa(int(e))+"/"+id, patch)
}

// DigestParked is the part of a parked message.
func DigestParked(position uint64, payload []byte) Digest {
	return digestPart(parkedPart, strconv.FormatUint(position, 10), payload)
}

// A sum of one part that is stored and replaced: it is taken out of a digest,
// and what replaces it is added.
func (d *Digest) replace(old *Digest, by Digest) {
	*d = d.Plus(by).Minus(*old)
	*old = by
}
