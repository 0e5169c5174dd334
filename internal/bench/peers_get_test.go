package bench

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"accountexport/events"
	"accountexport/internal/local/testrun"
	"accountexport/readmodel/export"
)

// readers are the ways in which a document is read, by the program that serves it so.
var readers = []struct{ name, read, schema string }{
	{"api", "", ""},
	{"six queries", "six-queries", "batches"},
	{"json_agg", "json-agg", "batches"},
	{"a row of jsonb", "documents", "permessage"},
}

// BenchmarkPeersGet measures GET of accounts of four sizes from cmd/api, from six tables
// by six queries and by one json_agg, and from a row of jsonb, in turns. All check the
// token, and have eight connections. The API keeps a large document for a while, so that
// its rate is that of a document that is asked for again; how long one takes that is not
// is measured apart.
func BenchmarkPeersGet(b *testing.B) {
	r := newReport(b, "Peers: GET")
	s := newPeerStack(b, newStack(b))
	sizes := s.fillForGet(b)
	var servers []*apiProcess
	for _, with := range readers {
		if with.read == "" {
			servers = append(servers, startAPI(b, s.stack, 8))
			continue
		}
		cmd := exec.Command(testrun.GoTool(b, "../../bench/peers", "./serve"))
		cmd.Env = append(os.Environ(), "READ="+with.read)
		servers = append(servers, startServer(b, cmd, s.pg.URL()+"&search_path="+with.schema+"&pool_max_conns=8"))
	}
	const turn = 500 * time.Millisecond
	refused := make([]int, len(readers))
	for b.Loop() {
		for _, of := range sizes {
			r.add("api: size of the "+of.name+" account", "bytes", float64(of.size))
			for _, clients := range []int{1, 8} {
				turns := size(3, 2)
				if of.size > 1<<20 {
					turns = size(3, 1) // in each of which every client gets an answer
				}
				for t := range turns + 1 {
					for i, with := range readers {
						kept := dial(b, servers[i].HTTP, clients)
						took := loadAny(b, kept, of.requests, turn)
						closeAll(kept)
						refused[i] += took.refused
						if t == 0 {
							continue // warm
						}
						what := fmt.Sprintf("%s: %s account, %d clients, ", with.name, of.name, clients)
						r.add(what+"rate", "requests/s", float64(len(took.times))/took.took.Seconds())
						r.add(what+"p99", "ms", milliseconds(percentile(took.times, 0.99)))
					}
				}
			}
		}
		for range size(5, 2) {
			r.add("api: very large account, read by nobody before", "ms", milliseconds(s.firstRead(b, sizes[3].requests)))
		}
		for i, with := range readers {
			r.add(with.name+": memory of the program, at most", "MiB", float64(servers[i].memory(b).peak)/(1<<20))
			r.add(with.name+": refused", "requests", float64(refused[i]))
		}
	}
}

// firstRead is how long the first request takes of an API that has just begun.
func (s *peerStack) firstRead(b *testing.B, requests []string) time.Duration {
	b.Helper()
	api := startAPI(b, s.stack, 8)
	defer api.stop(b)
	kept := dial(b, api.HTTP, 1)
	defer closeAll(kept)
	return loadAny(b, kept, requests, 0).times[0]
}

// sizeForGet is some accounts of about one size.
type sizeForGet struct {
	name     string
	ids      []events.UUID
	size     int // bytes of our document
	requests []string
}

// fillForGet publishes accounts of every size, and has them folded by the projector and
// into the peers' tables.
func (s *peerStack) fillForGet(b *testing.B) (sizes []*sizeForGet) {
	b.Helper()
	var byMessage, byBatch *peer
	for _, p := range buildPeers(b) {
		s.forgetPeer(b, p)
		switch p.program {
		case "permessage":
			byMessage = p
		case "batches":
			byBatch = p
		}
	}
	small := &sizeForGet{name: "small", ids: publishAccounts(b, s.stack, 100)}
	s.catchUpPeer(b, byMessage, 1)
	sizes = append(sizes, small)
	for i, of := range []struct {
		name                string
		accounts, sandboxes int
	}{{"middle", 20, 85}, {"large", 8, 850}, {"very large", 1, size(100_000, 10_000)}} {
		to := &sizeForGet{name: of.name}
		for n := range of.accounts {
			id := events.UUID{0: 0x3c, 1: byte(i + 1), 6: 0x40, 8: 0x80, 15: byte(n)}
			publishLarge(b, s.stack, id, of.sandboxes)
			to.ids = append(to.ids, id)
		}
		sizes = append(sizes, to)
	}
	s.projectAll(b)
	info, err := s.client.Info(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	s.catchUpPeer(b, byBatch, info.Last)
	s.copyToJSONB(b, sizes[1:])
	if _, err := s.pool.Exec(b.Context(), `VACUUM ANALYZE`); err != nil {
		b.Fatal(err)
	}
	exports := export.NewReader(s.pool)
	for _, of := range sizes {
		of.size = len(ourDocument(b, exports, of.ids[0]))
		for _, id := range of.ids {
			of.requests = append(of.requests, getExport(b, id))
		}
	}
	return sizes
}

// copyToJSONB gives permessage's table the documents that it would come to in hours, as
// it writes all of one for each event.
func (s *peerStack) copyToJSONB(b *testing.B, sizes []*sizeForGet) {
	b.Helper()
	cmd := exec.Command(testrun.GoTool(b, "../../bench/peers", "./serve"))
	cmd.Env = append(os.Environ(), "READ=json-agg")
	server := startServer(b, cmd, s.in("batches"))
	defer server.stop(b)
	for _, of := range sizes {
		for _, id := range of.ids {
			doc := getFrom(b, server.HTTP, id)
			if _, err := s.pool.Exec(b.Context(), `INSERT INTO permessage.documents VALUES ($1, 1, $2::jsonb - 'quota_tier')`, [16]byte(id), doc); err != nil {
				b.Fatal(err)
			}
		}
	}
}
