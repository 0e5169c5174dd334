package api

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Compression is done with klauspost's encoders, not with its gzhttp handler:
// that does not compress the answer to HEAD, whose headers then differ from
// GET's, sends what identity;q=0 forbids, and keeps a copy of the first bytes
// of each answer.

// coding is a content coding.
type coding uint8

const (
	identity coding = iota
	gzipped
	zstandard
)

func (c coding) String() string { return [...]string{"identity", "gzip", "zstd"}[c] }

// worthCoding is how long a document has to be, in bytes, to be compressed
// where it need not be.
const worthCoding = 512

// acceptedCodings are the codings that a client takes, with what it thinks of them.
type acceptedCodings struct {
	preferred coding
	plain     bool // identity is acceptable
	any       bool // some coding is
}

// parseAcceptEncoding reads Accept-Encoding (RFC 9110 §12.5.3). Between codings of the
// same weight it takes zstd, gzip, identity; what only "*" allows comes last.
// An element whose weight is malformed counts as not there.
func parseAcceptEncoding(fields []string) acceptedCodings {
	if len(fields) == 0 {
		return acceptedCodings{identity, true, true}
	}
	const unlisted = -1
	weights := [3]int{unlisted, unlisted, unlisted}
	star := unlisted
	for _, list := range fields {
		for element := range strings.SplitSeq(list, ",") {
			name, weight, ok := weighted(element)
			switch {
			case !ok:
			case name == "*":
				star = weight
			case strings.EqualFold(name, "identity"):
				weights[identity] = weight
			case strings.EqualFold(name, "gzip"), strings.EqualFold(name, "x-gzip"):
				weights[gzipped] = weight
			case strings.EqualFold(name, "zstd"):
				weights[zstandard] = weight
			}
		}
	}
	best, chosen := 0, acceptedCodings{}
	consider := func(c coding, weight int) {
		if weight > best {
			best, chosen.preferred, chosen.any = weight, c, true
		}
	}
	consider(zstandard, weights[zstandard]*10)
	consider(gzipped, weights[gzipped]*10)
	switch plain := weights[identity]; {
	case plain != unlisted:
		chosen.plain = plain > 0
		consider(identity, plain*10)
	case star != unlisted:
		chosen.plain = star > 0
		consider(identity, star*10)
	default: // acceptable, where nothing else is
		chosen.plain = true
		consider(identity, 1)
	}
	if weights[gzipped] == unlisted {
		consider(gzipped, star*10)
	}
	return chosen
}

// weighted reads "name", "name;q=0.5" and the like; the weight is in
// thousandths.
func weighted(element string) (name string, weight int, ok bool) {
	name, rest, has := strings.Cut(element, ";")
	if name = strings.Trim(name, " \t"); !has {
		return name, 1000, name != ""
	}
	q, value, _ := strings.Cut(strings.Trim(rest, " \t"), "=")
	if !strings.EqualFold(q, "q") {
		return "", 0, false
	}
	whole, decimals, _ := strings.Cut(value, ".")
	if whole != "0" && whole != "1" || len(decimals) > 3 {
		return "", 0, false
	}
	weight, err := strconv.Atoi(whole + decimals + "000"[len(decimals):])
	if err != nil || weight > 1000 {
		return "", 0, false
	}
	return name, weight, name != ""
}

// of is the coding for a document of this many bytes; -1 stands for many.
func (a acceptedCodings) of(size int64) coding {
	if a.plain && size >= 0 && size < worthCoding {
		return identity
	}
	return a.preferred
}

// encoder compresses what is written to it; Close ends the coding.
type encoder interface {
	io.WriteCloser
	Reset(w io.Writer)
}

// encoders are kept, since each has buffers of its own: about 1 MiB.
type encoders struct {
	pools [3]sync.Pool
	busy  chan struct{} // holds one for each that works at its client's pace
}

func newEncoders(most int) *encoders {
	e := &encoders{busy: make(chan struct{}, most)}
	e.pools[gzipped].New = func() any {
		w, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
		if err != nil {
			panic(err) // the level is not one
		}
		return w
	}
	e.pools[zstandard].New = func() any {
		w, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
			zstd.WithWindowSize(256<<10), zstd.WithLowerEncoderMem(true))
		if err != nil {
			panic(err) // the options are not right
		}
		return w
	}
	return e
}

// take takes one of the encoders that work at their client's pace; none where
// all are taken and the document may be sent plain, and otherwise when one is
// given back.
func (e *encoders) take(ctx context.Context, plain bool) (taken bool, err error) {
	select {
	case e.busy <- struct{}{}:
		return true, nil
	default:
	}
	if plain {
		return false, nil
	}
	late := time.NewTimer(encoderTimeout)
	defer late.Stop()
	select {
	case e.busy <- struct{}{}:
		return true, nil
	case <-late.C:
		return false, problemBusy
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

func (e *encoders) release() { <-e.busy }

// encoderTimeout is how long an encoder is waited for.
const encoderTimeout = 5 * time.Second

// encode has body written through the coding into w. Where body fails the
// coding is left unfinished.
func (e *encoders) encode(c coding, w io.Writer, body io.WriterTo) (int64, error) {
	if c == identity {
		return body.WriteTo(w)
	}
	enc := e.pools[c].Get().(encoder)
	enc.Reset(w)
	n, err := body.WriteTo(enc)
	if err == nil {
		err = enc.Close()
	}
	enc.Reset(nil)
	e.pools[c].Put(enc)
	return n, err
}

func setCoding(h http.Header, c coding) {
	if c != identity {
		h["Content-Encoding"] = codingNames[c : c+1 : c+1]
	}
}

// codingNames are shared by all answers and never changed.
var codingNames = []string{"identity", "gzip", "zstd"}
