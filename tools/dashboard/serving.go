package main

func api() row {
	return row{"API", []panel{
		half("Answers a second, by status and reason", "reqps", "ApiObjectiveBurningFast ApiDatabaseDown",
			"Good: mostly 200 and 304. 401 and 403 are clients' mistakes, 429 is the rate limit, 499 a client that left. Of 503, incomplete and position are accounts on their way; busy, database and other are an outage.",
			query{`sum by (code, reason) (rate(export_requests_total{<some>}[$__rate_interval])) > 0`, "{{code}} {{reason}}"}).as(stacked),
		half("Until the first byte", "s", "ApiObjectiveBurningFast ApiObjectiveBurningSlow",
			"From a request's header to the beginning of its answer, of the chosen instances. Good: p99 below 50 ms; requests that wait for a position take longer and are meant to.",
			quantiles("export_time_to_first_byte_seconds")...),
		third("Until the first byte, all of them", "s", "ApiObjectiveBurningFast",
			"The same, request by request. Good: one band below 50 ms; another one above is requests that wait for a position.",
			query{`sum by (le) (increase(export_time_to_first_byte_seconds_bucket{<some>}[$__rate_interval]))`, "{{le}}"}).as(asHeat),
		third("Until the answer ends", "s", "",
			"At the client's pace, so it says as much of networks as of the API. Good: as every day.",
			quantiles("export_request_duration_seconds")...),
		third("Sizes of documents", "bytes", "ApiSpoolExhausted",
			"Before any compression. Good: as every day; what is large is spooled, see below.",
			quantiles("export_response_bytes")...),
		third("Bytes of documents a second", "Bps", "",
			"Before any compression, by instance. Good: as every day.",
			query{`sum by (instance) (rate(export_response_bytes_sum{<some>}[$__rate_interval]))`, "{{instance}}"}).as(stacked),
		third("Requests that wait for a position", "short", "",
			"Requests with `min_position` and `Prefer: wait`. Good: few, and none for longer than 10 s; many, where the projector is behind.",
			query{`export_waiting_requests{<some>}`, "{{instance}}"}).as(stacked),
		third("Database readable", "short", "ApiDatabaseDown",
			"0 from when exports cannot be read to when they can, by instance. Good: 1.",
			query{`export_database_up{<some>}`, "{{instance}}"}),
		half("Room for spools that is held", "percentunit", "ApiSpoolExhausted",
			"Of memory and of files, for medium and large documents, the fullest instance. Good: below 80 %; at 100 % reads wait up to 5 s and are then answered 503.",
			query{`max by (documents, where) (export_spool_bytes{<some>,state="held"} / ignoring (state) (export_spool_bytes{<some>,state="held"} + ignoring (state) export_spool_bytes{<some>,state="free"} > 0))`, "{{documents}}, {{where}}"}),
		half("Room for spools, in bytes", "bytes", "ApiSpoolExhausted",
			"Held and free, over the chosen instances. Good: some of each is free.",
			query{`sum by (where, state) (export_spool_bytes{<some>})`, "{{where}}, {{state}}"}).as(stacked),
		third("Reads that wait for room", "short", "ApiSpoolExhausted",
			"Good: 0. Who waits for longer than 5 s is answered 503.",
			query{`sum by (documents) (export_spool_waiting_reads{<some>})`, "{{documents}}"}).as(stacked),
		third("Tokens not accepted a second", "reqps", "",
			"Good: few, mostly expired ones. Many of `keys` or `unknown key` at once: the issuer's keys changed, or cannot be reached.",
			query{`sum by (reason) (rate(export_token_failures_total{<some>}[$__rate_interval])) > 0`, "{{reason}}"}).as(stacked),
		third("Defects", "short", "",
			"Requests that ended in a panic, within each interval. Good: 0, always: the log has the stack.",
			query{`sum by (instance) (increase(export_panics_total{<some>}[$__rate_interval]))`, "{{instance}}"}),
	}}
}

func objective() row {
	burn := func(window string) query {
		return query{`sum(rate(export_objective_missed_total{<all>}[` + window + `])) / (sum(rate(export_objective_requests_total{<all>}[` + window + `])) > 0) / 0.001`, window}
	}
	return row{"Readers' objective", []panel{
		half("How fast the allowance burns", "none", "ApiObjectiveBurningFast ApiObjectiveBurningSlow",
			"Missed requests over what 99.9 % leaves, in windows of different length. Good: all below 1. A short and a long window high together is burning now; only the long ones: it was, and is over.",
			burn("5m"), burn("1h"), burn("6h"), burn("3d")).as(func(p *panel) { p.good = from("transparent", at(1, "yellow"), at(14.4, "red")) }),
		half("Requests within the objective, and missed", "reqps", "ApiObjectiveBurningFast ApiObjectiveBurningSlow",
			"What counts: requests without those for accounts on their way, for positions not reached, and those that prefer to wait. Good: missed is 0 but for single ones.",
			query{`sum(rate(export_objective_requests_total{<all>}[$__rate_interval]))`, "counted"}, query{`sum(rate(export_objective_missed_total{<all>}[$__rate_interval]))`, "missed"}),
	}}
}

func pools() row {
	return row{"PostgreSQL pools", []panel{
		third("Connections in use, of what the pool may open", "percentunit", "ProjectorPoolExhausted ApiPoolExhausted",
			"Good: below 80 %; for longer at 100 %, somebody waits.",
			query{`pgxpool_acquired_connections{<some>} / pgxpool_max_connections{<some>}`, "{{job}} {{instance}}"}),
		third("Connections", "short", "ProjectorPoolExhausted ApiPoolExhausted",
			"Open ones, in use and idle, by job. A pool is opened whole at start. Good: flat; where it falls, PostgreSQL or a pooler ends connections.",
			query{`sum by (job) (pgxpool_acquired_connections{<some>})`, "{{job}}: in use"}, query{`sum by (job) (pgxpool_idle_connections{<some>})`, "{{job}}: idle"},
			query{`sum by (job) (pgxpool_connections{<some>})`, "{{job}}: all"}),
		third("How long taking a connection takes", "s", "ProjectorPoolExhausted ApiPoolExhausted",
			"On average. Good: microseconds.",
			query{`sum by (job, instance) (rate(pgxpool_acquire_duration_seconds_total{<some>}[$__rate_interval])) / sum by (job, instance) (rate(pgxpool_acquires_total{<some>}[$__rate_interval]) > 0)`, "{{job}} {{instance}}"}),
		half("Had to wait for a connection, or gave up, a second", "cps", "ProjectorPoolExhausted ApiPoolExhausted",
			"Good: 0; a pool that is too small, or a database that is slow, shows here first.",
			query{`sum by (job) (rate(pgxpool_empty_acquires_total{<some>}[$__rate_interval]))`, "{{job}}: waited"}, query{`sum by (job) (rate(pgxpool_canceled_acquires_total{<some>}[$__rate_interval]))`, "{{job}}: gave up"}),
		half("Connections opened", "short", "ApiDatabaseDown",
			"Within each interval. Good: those of a start, and now and then one that was renewed.",
			query{`sum by (job, instance) (increase(pgxpool_opened_connections_total{<some>}[$__rate_interval]))`, "{{job}} {{instance}}"}),
	}}
}

func relay() row {
	return row{"Relay", []panel{
		third("Published a second", "cps", "RelayBehind",
			"Acknowledged by JetStream, or found there already after a relay was ended in between. Good: as many as are written to the outbox.",
			query{`sum by (how) (rate(relay_published_total{<some>}[$__rate_interval]))`, "{{how}}"}).as(stacked),
		third("Waiting in the outbox", "short", "RelayBehind",
			"Good: near 0, and falling after a burst.",
			query{`max(relay_pending_messages{<all>})`, "waiting"}, query{`max(relay_refused_messages{<all>})`, "refused"}),
		third("How long the oldest has waited", "s", "RelayBehind RelayDown",
			"Or how long the outbox could not be read. Good: below a second.",
			query{`max(relay_oldest_pending_seconds{<all>})`, "oldest"}),
		third("Who works", "short", "RelayDown",
			"1 for the relay that works, 0 for those that stand by. Good: together exactly 1.",
			query{`relay_active{<some>}`, "{{instance}}"}).as(stacked),
		third("Heartbeat", "s", "RelayDown RelayBehind",
			"How long ago each last had something acknowledged or found nothing to do; those that stand by, too. Good: a few seconds.",
			query{`time() - relay_last_progress_timestamp_seconds{<some>}`, "{{instance}}"}),
		third("Restarts", "short", "RelayDown RelayBehind",
			"Times that it began anew, within each interval. Good: 0; `taken_over` when another relay takes its place.",
			query{`sum by (reason) (increase(relay_restarts_total{<some>}[$__rate_interval]))`, "{{reason}}"}).as(stacked),
	}}
}

func process() row {
	return row{"Go and process", []panel{
		third("Cores in use", "short", "",
			"Good: as every day; a projector that catches up uses what there is.",
			query{`rate(process_cpu_seconds_total{<some>}[$__rate_interval])`, "{{job}} {{instance}}"}),
		third("Memory, as the operating system counts it", "bytes", "",
			"Good: below `MEMORY_LIMIT` (512 MiB) of a projector and `API_MEMORY_LIMIT` (256 MiB) of an API.",
			query{`process_resident_memory_bytes{<some>}`, "{{job}} {{instance}}"}),
		third("Go's heap", "bytes", "",
			"What is in use. Good: a saw's teeth below the memory limit.",
			query{`go_memstats_heap_inuse_bytes{<some>}`, "{{job}} {{instance}}"}),
		third("Goroutines", "short", "",
			"Good: flat in a projector; in an API as many as there are connections. What only rises leaks.",
			query{`go_goroutines{<some>}`, "{{job}} {{instance}}"}),
		third("Longest pause of the garbage collector", "s", "",
			"Good: below a millisecond.",
			query{`go_gc_duration_seconds{<some>,quantile=~"1|1.0"}`, "{{job}} {{instance}}"}),
		third("Open files, of those allowed", "percentunit", "",
			"Connections are among them. Good: below 80 %.",
			query{`process_open_fds{<some>} / process_max_fds{<some>}`, "{{job}} {{instance}}"}),
		half("Scrapes", "s", "ProjectorDown ApiDown RelayDown",
			"How long Prometheus takes to read each program. Good: milliseconds; a gap is a program that does not answer.",
			query{`scrape_duration_seconds{<some>}`, "{{job}} {{instance}}"}),
		half("What runs", "", "",
			"Program, version and revision of each instance. Good: the same of each program, but while a new one is rolled out.",
			query{expr: `max by (job, instance, program, version, revision, goversion) (accountexport_build_info{<some>})`}).as(asList),
	}}
}
