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

// Compression uses klauspost's encoders without its gzhttp handler. That handler does
// not compress the answer to HEAD, whose headers then differ from those of GET; it
// sends what identity;q=0 forbids; and it copies the first bytes of each answer.

// coding is a content coding.
type coding uint8

const (
	identity coding = iota
	gzipped
	zstandard
)

// String is the coding's name in HTTP headers.
func (c coding) String() string { return [...]string{"identity", "gzip", "zstd"}[c] }

// worthCoding is the size in bytes from which a document is compressed if the client
// accepts it uncompressed too.
const worthCoding = 512

// acceptedCodings says which codings a client accepts, and which one it prefers.
type acceptedCodings struct {
	preferred coding
	plain     bool // identity is acceptable
	any       bool // any coding is acceptable
	stored    bool // gzip is as good as the preferred one, for documents that are stored in it
}

// parseAcceptEncoding parses Accept-Encoding (RFC 9110 §12.5.3). Codings of equal
// weight are preferred in the order zstd, gzip, identity; one that only "*" allows
// comes last. A document that is stored in gzip has that before zstd. An element with a malformed weight is ignored.
func parseAcceptEncoding(fields []string) acceptedCodings {
	if len(fields) == 0 {
		return acceptedCodings{preferred: identity, plain: true, any: true}
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
	default: // acceptable if nothing else is
		chosen.plain = true
		consider(identity, 1)
	}
	if weights[gzipped] == unlisted {
		consider(gzipped, star*10)
	}
	gzip := weights[gzipped]
	if gzip == unlisted {
		gzip = star
	}
	chosen.stored = chosen.preferred != identity && gzip > 0 && gzip*10 >= best
	return chosen
}

// weighted parses a list element such as "name" or "name;q=0.5". The weight is in
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

// of chooses the coding for a document of this many bytes; -1 stands for a large one.
func (a acceptedCodings) of(size int64) coding {
	if a.plain && size >= 0 && size < worthCoding {
		return identity
	}
	return a.preferred
}

// encoder compresses what is written to it. Close writes the end of the stream.
type encoder interface {
	io.WriteCloser
	Reset(w io.Writer)
}

// encoders pools encoders, since each has about 1 MiB of buffers. It is safe for
// concurrent use.
type encoders struct {
	pools [3]sync.Pool
	// A slot for each encoder that may run at its client's pace; encoders of short
	// documents need none.
	busy chan struct{}
}

func newEncoders(limit int) *encoders {
	e := &encoders{busy: make(chan struct{}, limit)}
	e.pools[gzipped].New = func() any {
		w, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
		if err != nil {
			panic(err) // cannot happen: the level is valid
		}
		return w
	}
	e.pools[zstandard].New = func() any {
		w, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
			zstd.WithWindowSize(256<<10), zstd.WithLowerEncoderMem(true))
		if err != nil {
			panic(err) // cannot happen: the options are valid
		}
		return w
	}
	return e
}

// acquire takes a slot for an encoder that runs at its client's pace. Where none is free
// it reports false if the document may be sent uncompressed (plain). Otherwise it
// waits for up to encoderTimeout, after which the error is problemBusy.
func (e *encoders) acquire(ctx context.Context, plain bool) (acquired bool, err error) {
	select {
	case e.busy <- struct{}{}:
		return true, nil
	default:
	}
	if plain {
		return false, nil
	}
	timeout := time.NewTimer(encoderTimeout)
	defer timeout.Stop()
	select {
	case e.busy <- struct{}{}:
		return true, nil
	case <-timeout.C:
		return false, problemBusy
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

func (e *encoders) release() { <-e.busy }

// encoderTimeout bounds the wait for a slot.
const encoderTimeout = 5 * time.Second

// encode writes body to w through the coding and returns how many bytes body wrote.
// If body fails, the compressed stream is left without its end, so it cannot pass for
// complete.
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

// codingNames is shared by all answers and must not be changed.
var codingNames = []string{"identity", "gzip", "zstd"}
