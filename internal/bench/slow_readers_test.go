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
	const readers, clients, turns, turn = 64, 8, 3, 3 * time.Second
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
				var without, with, commitsWithout, commitsWith []time.Duration
				var served, refused, held int
				var dead, deadWith int64
				for range turns {
					without = append(without, load(b, kept, requests, turn)...)
					commitsWithout = append(commitsWithout, timeCheckpointCommits(b, s)...)
					dead = max(dead, deadAfterVacuum(b, s))
					crowd := startSlowReaders(b, p.HTTP, readers, getExport(b, large, "Accept-Encoding: "+coding))
					served, refused = crowd.served, crowd.refused
					held = p.connections(b)
					with = append(with, load(b, kept, requests, turn)...)
					commitsWith = append(commitsWith, timeCheckpointCommits(b, s)...)
					deadWith = max(deadWith, deadAfterVacuum(b, s))
					crowd.stop()
				}
				peak := p.memory(b)
				closeAll(kept)
				p.stop(b)
				row(b, fmt.Sprintf("64 slow readers, %s, pool of %d", coding, pool), fmt.Sprintf("%d are served, %d told to come again, %d connections held", served, refused, held))
				row(b, "  most memory: GETs, and slow readers", mebibytes(usualPeak.peak), mebibytes(peak.peak),
					fmt.Sprintf("%.1f MiB a reader", float64(peak.peak-usualPeak.peak)/float64(max(1, served))/(1<<20)), "idle "+mebibytes(idle.now))
				share := float64(len(with)) / float64(len(without))
				tail := percentile(with, 0.99).Seconds() / percentile(without, 0.99).Seconds()
				row(b, "  usual GETs meanwhile", fmt.Sprintf("%.0f %%", share*100), fmt.Sprintf("p99 × %.2f", tail))
				row(b, "  commits of checkpoints meanwhile", fmt.Sprintf("p99 × %.2f", percentile(commitsWith, 0.99).Seconds()/percentile(commitsWithout, 0.99).Seconds()),
					fmt.Sprintf("%d rows dead after a vacuum, %d without", deadWith, dead))
				b.ReportMetric(share, fmt.Sprintf("gets-%d-%s", pool, coding))
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
