package main

import (
	"fmt"
	"strings"
)

// given is the example that the document computes.
var given = []struct {
	name  string
	value float64
	what  string
}{
	{"accounts", 10_000_000, "accounts"},
	{"events", 500_000_000, "events that the stream holds"},
	{"per_second", 1_000, "events a second"},
	{"gets", 500, "requests for ordinary documents a second"},
	{"cores", 4, "cores of a machine that runs an API or a projector"},
	{"rebuilt", 100_000_000, "events of a rebuild"},
}

// sizing is what follows from it. A name can be used in the formulas below it.
var sizing = []struct{ name, unit, formula, what string }{
	{"stream_disk", "GB", `events * "Catching up, many accounts / disk of the stream" / 1e9`,
		"disk of each NATS server for the stream"},
	{"stream_memory", "GB", `accounts * 235 / 1e9`,
		"memory of each NATS server for the subjects, 235 bytes each"},
	{"tables_disk", "GB", `accounts * "Catching up, many accounts / disk of the tables" / 1e9`,
		"disk of one generation right after a vacuum, for accounts like those"},
	{"database_disk", "GB", `2 * 1.5 * tables_disk`,
		"disk of PostgreSQL: two generations while one is built, half as much again for what waits for a vacuum; and what `max_wal_size` says"},
	{"wal", "MB/s", `per_second * "Catching up, many accounts / WAL" / 1e6`,
		"WAL, and what a standby is sent"},
	{"database_cores", "cores", `per_second * "Catching up, many accounts / CPU of PostgreSQL" / 1e6`,
		"cores of PostgreSQL that writing keeps busy"},
	{"stream_cores", "cores", `per_second * "Catching up, many accounts / CPU of the NATS server" / 1e6`,
		"cores of the NATS server that reading keeps busy"},
	{"projector_cores", "cores", `per_second * "Peers: from acknowledged to visible / projector: 500/s, CPU of the program" / 1e6`,
		"cores of all projectors together, in the small batches of live events"},
	{"replicas", "", `max(2, ceil(per_second / (0.5 * 1000 * "Catching up, many accounts / documents committed")))`,
		"projectors: half of the rate at which one catches up is left for catching up; two, so that one may end"},
	{"lanes", "", `max(1, ceil(2 * database_cores / replicas))`,
		"`LANES` of each at least: a lane keeps one connection of PostgreSQL busy, and half of its time is left for waiting"},
	{"apis", "", `max(2, ceil(gets / (0.5 * 1000 * "GET of an ordinary document / 8 clients: GET export")))`,
		"APIs, each used by half"},
	{"connections", "", `replicas * (2 * lanes + 5) + apis * (max(8, 2 * cores) + 1) + (2 * lanes + 4 + max(4, cores) + 1) + 3`,
		"`max_connections` of PostgreSQL: replicas, APIs, a rebuild beside them, and three for people"},
	{"memory", "MiB", `replicas * 512 + apis * 256`,
		"memory of projectors and APIs by their default limits"},
	{"rebuild_many", "hours", `rebuilt / (1000 * "Rebuild, many accounts / documents committed") / 3600`,
		"a rebuild of so many events, four for each account"},
	{"rebuild_few", "hours", `rebuilt / (1000 * "Rebuild, few accounts / documents committed") / 3600`,
		"a rebuild of so many events, 120 for each account"},
	{"catch_up", "minutes", `3600 * per_second / (1000 * "Catching up, many accounts / documents committed" - per_second) / 60`,
		"until one projector has caught up that was away for an hour, while events go on coming"},
}

// computed are the results of sizing by name.
func computed(r *runs) (map[string]float64, error) {
	all := map[string]float64{}
	for _, g := range given {
		all[g.name] = g.value
	}
	for _, s := range sizing {
		v, err := evaluate(s.formula, all, r.median)
		if err != nil {
			return nil, fmt.Errorf("%s = %w", s.name, err)
		}
		all[s.name] = v
	}
	return all, nil
}

func renderSizing(r *runs) (string, error) {
	all, err := computed(r)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("| given | | example |\n| --- | --- | ---: |\n")
	for _, g := range given {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", g.name, g.what, number(g.value))
	}
	b.WriteString("\n| wanted | | formula | example |\n| --- | --- | --- | ---: |\n")
	for _, s := range sizing {
		fmt.Fprintf(&b, "| `%s` | %s | `%s` | %s |\n", s.name, s.what, s.formula, strings.TrimSpace(number(all[s.name])+" "+s.unit))
	}
	return b.String(), nil
}
