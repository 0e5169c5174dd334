package main

// half and third are graphs of that share of the width.
func half(title, unit, alerts, help string, queries ...query) panel {
	return panel{title: title, help: help, alerts: alerts, width: 12, height: 8, draw: lines, unit: unit, queries: queries}
}

func third(title, unit, alerts, help string, queries ...query) panel {
	p := half(title, unit, alerts, help, queries...)
	p.width = 8
	return p
}

// as draws the panel otherwise.
func (p panel) as(change func(*panel)) panel {
	change(&p)
	return p
}

func stacked(p *panel) { p.stacked = true }

func asHeat(p *panel) { p.draw = heat }

func asList(p *panel) { p.draw = list }

// quantiles are the usual ones of a histogram.
func quantiles(histogram string) []query {
	of := func(q string) string {
		return `histogram_quantile(` + q + `, sum by (le) (rate(` + histogram + `_bucket{<some>}[$__rate_interval])))`
	}
	return []query{{of("0.5"), "p50"}, {of("0.95"), "p95"}, {of("0.99"), "p99"}}
}

func streamAndProjector() row {
	return row{"Stream and projector", []panel{
		half("Events a second, by outcome", "cps", "ProjectorEventsParked",
			"What became of messages. Good: applied, and deferred now and then; ignored types are newer than this program. Parked ones are looked at below.",
			query{`sum by (outcome) (rate(projector_events_total{<some>}[$__rate_interval]))`, "{{outcome}}"}).as(stacked),
		half("Events a second, by type", "cps", "",
			"What producers publish, without `controlplane.`; `other` is what has no known type, no sound envelope, or an erased account. Good: as every day.",
			query{`sum by (type) (rate(projector_events_total{<some>}[$__rate_interval])) > 0`, "{{type}}"}).as(stacked),
		third("Lag in events", "short", "ProjectorLagGrowing",
			"Positions between checkpoint and the stream's end, by replica. Good: near 0, and falling after a burst.",
			query{`projector_lag_events{<some>}`, "{{instance}}"}),
		third("Lag in seconds", "s", "ProjectorLagGrowing ProjectorNotProgressing",
			"How long the oldest message waits, or how long stream or checkpoints could not be read, by replica. Good: near 0.",
			query{`projector_lag_seconds{<some>}`, "{{instance}}"}),
		third("Heartbeat, and when the lag was known", "s", "ProjectorNotProgressing ProjectorDown",
			"How long ago each replica last wrote a checkpoint, and how old what it knows of the lag is. Good: both a few seconds, which is the scrape interval.",
			query{`time() - projector_last_progress_timestamp_seconds{<some>}`, "heartbeat {{instance}}"},
			query{`time() - projector_lag_known_timestamp_seconds{<some>}`, "lag known {{instance}}"}),
		third("Position", "locale", "ProjectorNotProgressing",
			"The highest and the lowest checkpoint of a partition. Good: close together; both advance on an idle stream, too.",
			query{`max(projector_position{<all>})`, "highest"}, query{`min(projector_position{<all>})`, "lowest"}),
		third("Events in a batch", "short", "",
			"Good: about 1 when idle, and large while it catches up: batches grow with what waits.",
			append(quantiles("projector_batch_events"), query{`sum(rate(projector_batch_events_sum{<some>}[$__rate_interval])) / sum(rate(projector_batch_events_count{<some>}[$__rate_interval]))`, "mean"})...),
		third("Batches a second", "cps", "",
			"Transactions with events in them, by replica. Good: as many as events when there are few; some dozens under load.",
			query{`sum by (instance) (rate(projector_batch_duration_seconds_count{<some>}[$__rate_interval]))`, "{{instance}}"}),
		third("How long a batch takes", "s", "ProjectorLagGrowing ProjectorPoolExhausted",
			"From the start to the end of its transaction. Good: milliseconds for small ones; where it grows at the same load, look at PostgreSQL.",
			quantiles("projector_batch_duration_seconds")...),
		third("From event to commit", "s", "ProjectorLagGrowing",
			"From a message's timestamp in the stream to the end of its transaction: what a reader waits for. Good: tens of milliseconds when idle.",
			quantiles("projector_event_to_commit_seconds")...),
		third("From event to commit, all of them", "s", "ProjectorLagGrowing",
			"The same, event by event. Good: one narrow band near the bottom.",
			query{`sum by (le) (increase(projector_event_to_commit_seconds_bucket{<some>}[$__rate_interval]))`, "{{le}}"}).as(asHeat),
		half("Restarts at the checkpoint", "short", "ProjectorRestartLoop",
			"Times that a replica dropped what it had in memory and began again at its checkpoint, within each interval. Good: 0, and some when a replica comes, goes, or loses a server.",
			query{`sum by (reason) (increase(projector_restarts_total{<some>}[$__rate_interval]))`, "{{reason}}"}).as(stacked),
		half("Problems on record", "short", "ProjectorRefused",
			"Class and reason of what keeps partitions or replicas from going on, read from the database: it is there while no projector runs, too. Good: nothing here.",
			query{`max by (class, reason) (projector_problems{<all>})`, "{{class}}: {{reason}}"}).as(func(p *panel) { p.nothing = word{text: "no problems"} }),
	}}
}

func partitions() row {
	return row{"Partitions and replicas", []panel{
		third("Partitions of each replica", "short", "ProjectorPartitionsUnowned",
			"Good: evenly shared; together as many as the stream has.",
			query{`projector_partitions{<some>}`, "{{instance}}"}).as(stacked),
		third("Partitions: owned, of the stream, unowned", "short", "ProjectorPartitionsUnowned",
			"Good: owned equals the stream's, and unowned is 0. All three move for seconds while a replica is replaced.",
			query{`sum(projector_partitions{<all>})`, "owned"}, query{`max(projector_stream_partitions{<all>})`, "of the stream"}, query{`max(projector_partitions_unowned{<all>})`, "unowned"}),
		third("Replicas", "short", "ProjectorDown ApiDown RelayDown",
			"Programs that Prometheus reads, by job. Good: as many as were started.",
			query{`sum by (job) (up{<all>})`, "{{job}}"}),
		half("How far partitions are behind the foremost", "short", "ProjectorLagGrowing",
			"Positions between each partition's checkpoint and the foremost one. Good: all together near 0; one alone that grows is stuck, or has an account that takes all of the time.",
			query{`scalar(max(projector_position{<all>})) - max by (partition) (projector_position{<all>})`, "{{partition}}"}),
		half("Partitions that are paused, or off the contract", "short", "ProjectorPaused ProjectorStreamOffContract",
			"1 while projecting is paused, and 1 for each setting of the stream that could cost history. Good: 0, and nothing else.",
			query{`max(projector_paused{<all>})`, "paused"}, query{`max by (what) (projector_stream_off_contract{<all>})`, "{{what}}"}),
	}}
}

func parked() row {
	return row{"Parked events", []panel{
		half("Parked now", "short", "ProjectorEventsParked",
			"On record in the live generation and not dismissed, by the replica whose partitions they are of. Good: 0; falls by `projector parked retry` and `projector parked dismiss`.",
			query{`projector_parked_events{<some>}`, "{{instance}}"}).as(stacked),
		half("Events parked a second, by type", "cps", "ProjectorEventsParked",
			"Good: 0. Where it begins at once for one type, look for a producer that was deployed at that time.",
			query{`sum by (type) (rate(projector_events_total{<some>,outcome="parked"}[$__rate_interval]))`, "{{type}}"}).as(stacked),
	}}
}

func generations() row {
	return row{"Generations and rebuild", []panel{
		third("What is projected, and by which version", "", "",
			"The generation that each replica projects, with its projection version. Good: the same for all, but for a moment at a cut-over.",
			query{expr: `max by (generation, version) (projector_generation_info{<all>})`}).as(asList),
		third("Progress of a rebuild", "percentunit", "ProjectorGenerationAbandoned",
			"How much of the stream a generation that is being built has; 0 where none is. Good: it rises until the cut-over.",
			query{`max(projector_rebuild_progress_ratio{<all>})`, "built"}),
		third("Building generation abandoned", "short", "ProjectorGenerationAbandoned",
			"1 where a generation is building that nobody works on. Good: 0.",
			query{`max(projector_generation_abandoned{<all>})`, "abandoned"}),
	}}
}

func erasures() row {
	return row{"Erasures, ledger and audit", []panel{
		third("Erasures", "short", "ProjectorErasureUnfinished",
			"Accounts on the ledger, and of those the ones whose erasure is not proved. Good: the second is 0.",
			query{`max(projector_erasures{<all>})`, "on the ledger"}, query{`max(projector_erasures_unfinished{<all>})`, "unfinished"}),
		third("Since the ledger was exported", "s", "ProjectorLedgerNotExported",
			"How long ago it was, or its first entry was made where it never was. Good: a saw's teeth of a day.",
			query{`max(projector_erasures_export_age_seconds{<all>})`, "age"}),
		third("Differences that the audit found", "short", "ProjectorAuditDifferences",
			"Accounts, since each replica was started. Good: 0, always.",
			query{`projector_verify_differences_total{<some>}`, "{{instance}}"}),
	}}
}
