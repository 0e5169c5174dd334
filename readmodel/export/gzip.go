package export

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"sync"

	"github.com/klauspost/compress/flate"
)

// A gzip body is put together of pieces that were compressed one by one: each is whole
// bytes of a deflate stream, which a flush without an end makes of it (RFC 1951
// §3.2.4), and refers to nothing before it. The checksum of all of it is computed from
// theirs.

var (
	gzipHeader = []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255} // deflate, no name, no time, fastest, any system (RFC 1952 §2.3)
	deflateEnd = []byte{3, 0}                                 // an empty last block
)

// gzipOverhead is how many bytes a gzip body has beside its pieces.
const gzipOverhead = 10 + 2 + 8

// deflatedPiece is a piece of a gzip body.
type deflatedPiece struct {
	body   []byte // nil: the next segment as it is stored
	stored int64  // bytes of that segment
	plain  int64  // bytes that the piece decompresses to
	crc    uint32 // of those
}

// deflatedComma is a comma, which stands between most segments.
var deflatedComma = deflatedPiece{body: []byte{0, 1, 0, 0xfe, 0xff, ','}, plain: 1, crc: crc32.ChecksumIEEE(comma)}

var deflaters = sync.Pool{New: func() any {
	w, err := flate.NewWriter(nil, flate.BestSpeed)
	if err != nil {
		panic(err) // cannot happen: the level is valid
	}
	return w
}}

// Deflate compresses what a segment is made of: whole bytes of a deflate stream that
// does not end. The checksum is of what it is given.
func Deflate(plain []byte) (deflated []byte, crc uint32) {
	w, b := deflaters.Get().(*flate.Writer), bytes.Buffer{}
	defer deflaters.Put(w)
	w.Reset(&b)
	_, _ = w.Write(plain) // a buffer takes everything
	_ = w.Flush()
	return b.Bytes(), crc32.ChecksumIEEE(plain)
}

// deflatePiece is a piece that is not stored.
func deflatePiece(plain []byte) deflatedPiece {
	if bytes.Equal(plain, comma) {
		return deflatedComma
	}
	body, crc := Deflate(plain)
	return deflatedPiece{body: body, plain: int64(len(plain)), crc: crc}
}

// gzipTrailer is what follows the pieces.
func gzipTrailer(pieces []deflatedPiece) []byte {
	var crc uint32
	var plain int64
	for i := range pieces {
		crc, plain = combineCRC(crc, pieces[i].crc, pieces[i].plain), plain+pieces[i].plain
	}
	b := append(make([]byte, 0, gzipOverhead), deflateEnd...)
	return binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(b, crc), uint32(plain))
}

// combineCRC is the CRC-32 of two runs of bytes, one after the other, of their checksums
// and the length of the second: a checksum is a polynomial over GF(2), and the first
// one's is multiplied by x to the number of bits that follow it.
func combineCRC(first, second uint32, length int64) uint32 {
	shift := uint32(1) << 31 // 1, as the lowest power has the highest bit
	for k := 3; length > 0; length, k = length>>1, k+1 {
		if length&1 != 0 {
			shift = multiplyCRC(crcPowers[k%len(crcPowers)], shift)
		}
	}
	return multiplyCRC(shift, first) ^ second
}

// crcPowers are x to 1, 2, 4, 8 and so on, modulo the polynomial; after 32 of them they
// come again. Never changed.
var crcPowers = func() (powers [32]uint32) {
	powers[0] = 1 << 30
	for i := 1; i < len(powers); i++ {
		powers[i] = multiplyCRC(powers[i-1], powers[i-1])
	}
	return powers
}()

// multiplyCRC multiplies two polynomials modulo that of CRC-32.
func multiplyCRC(a, b uint32) (product uint32) {
	for bit := uint32(1) << 31; bit != 0; bit >>= 1 {
		if a&bit != 0 {
			product ^= b
		}
		b = b>>1 ^ crc32.IEEE&-(b&1)
	}
	return product
}
