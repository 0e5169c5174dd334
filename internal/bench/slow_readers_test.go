package bench

import (
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// BenchmarkSlowReaders measures what 64 clients cost cmd/api that ask for a document of tens of
// megabytes and read some 40 kB of it a second: memory, database connections, and what is left for
// ordinary requests.
func BenchmarkSlowReaders(b *testing.B) {
	const readers, clients, turn = 64, 8, 2 * time.Second
	turns := size(3, 1)
	r := newReport(b, "64 slow readers of 38 MB")
	s, usual, large := newLargeStack(b)
	var requests []string
	for _, id := range usual {
		requests = append(requests, getExport(b, id))
	}
	for b.Loop() {
		for _, pool := range []int{20, 60} {
			for _, coding := range []string{"identity", "zstd"} {
				p := startAPI(b, s, pool)
				kept := dial(b, p.HTTP, clients)
				load(b, kept, requests, turn) // warm
				idle := p.memory(b)
				p.resetPeak(b)
				load(b, kept, requests, turn)
				usualPeak := p.memory(b)
				of := fmt.Sprintf("%s, pool of %d: ", coding, pool)
				for range turns {
					without, commitsWithout := load(b, kept, requests, turn), timeCheckpointCommits(b, s)
					r.add(of+"rows dead after a vacuum, without them", "", float64(deadAfterVacuum(b, s)))
					crowd := startSlowReaders(b, p.HTTP, readers, getExport(b, large, "Accept-Encoding: "+coding))
					r.add(of+"served", "", float64(crowd.served))
					r.add(of+"told to come again", "", float64(crowd.refused))
					r.add(of+"connections held", "", float64(p.connections(b)))
					with, commitsWith := load(b, kept, requests, turn), timeCheckpointCommits(b, s)
					r.add(of+"rows dead after a vacuum", "", float64(deadAfterVacuum(b, s)))
					crowd.stop()
					r.add(of+"ordinary GETs meanwhile", "%", 100*float64(len(with))/float64(len(without)))
					r.add(of+"their p99, over that before", "×", percentile(with, 0.99).Seconds()/percentile(without, 0.99).Seconds())
					r.add(of+"p99 of a checkpoint's commit, over that before", "×", percentile(commitsWith, 0.99).Seconds()/percentile(commitsWithout, 0.99).Seconds())
				}
				r.add(of+"memory, idle", "MiB", mebi(idle.now))
				r.add(of+"memory, most, with ordinary GETs", "MiB", mebi(usualPeak.peak))
				r.add(of+"memory, most, with slow readers", "MiB", mebi(p.memory(b).peak))
				closeAll(kept)
				p.stop(b)
			}
		}
	}
}

// timeCheckpointCommits is how long commits take that advance the checkpoint of a partition.
func timeCheckpointCommits(b *testing.B, s *stack) (took []time.Duration) {
	b.Helper()
	for range 1000 {
		began := time.Now()
		if _, err := s.pool.Exec(b.Context(), `
UPDATE export.checkpoints SET position = position + 1, as_of = now()
WHERE partition = 0 AND generation = (SELECT generation FROM export.generations WHERE state = 'live')`); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
	}
	return took
}

// deadAfterVacuum is how many dead rows of checkpoints a vacuum cannot remove.
func deadAfterVacuum(b *testing.B, s *stack) (dead int64) {
	b.Helper()
	if _, err := s.pool.Exec(b.Context(), `VACUUM export.checkpoints`); err != nil {
		b.Fatal(err)
	}
	if err := s.pool.QueryRow(b.Context(), `SELECT n_dead_tup FROM pg_stat_user_tables WHERE relid = 'export.checkpoints'::regclass`).Scan(&dead); err != nil {
		b.Fatal(err)
	}
	return dead
}

// slowReaders read one answer each.
type slowReaders struct {
	served, refused int
	all             sync.WaitGroup
	left            chan struct{}
}

// startSlowReaders sends the request over n connections, and reads the answers slowly until the
// readers are stopped.
func startSlowReaders(b *testing.B, addr string, n int, request string) *slowReaders {
	b.Helper()
	r := &slowReaders{left: make(chan struct{})}
	for range n {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		if err := c.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
			b.Fatal(err)
		}
		if _, err := io.WriteString(c, request); err != nil {
			b.Fatal(err)
		}
		var status [len("HTTP/1.1 200")]byte
		if _, err := io.ReadFull(c, status[:]); err != nil {
			b.Fatal(err)
		}
		if string(status[:]) != "HTTP/1.1 200" {
			r.refused++
			c.Close()
			continue
		}
		r.served++
		r.all.Go(func() {
			defer c.Close()
			tick := time.NewTicker(100 * time.Millisecond)
			defer tick.Stop()
			buf := make([]byte, 4<<10)
			for {
				select {
				case <-r.left:
					return
				case <-tick.C:
				}
				if _, err := io.ReadFull(c, buf); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	return r
}

func (r *slowReaders) stop() {
	close(r.left)
	r.all.Wait()
}
