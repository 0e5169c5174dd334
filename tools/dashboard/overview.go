package main

// overview is the first screen: eighteen figures in three lines of what is folded, what
// is kept, and what is served; and below them what is wrong, and since when. Figures with
// which all is right are green, and 0 where they count. It fits a window of 1440×900.
//
// Where a metric has a series only while something is wrong, a figure adds 0 times one
// that is always there: so 0 means that all is right, and no figure that nothing is known.
func overview() []panel {
	stat := func(title, unit, expr, alerts, help string) panel {
		return panel{title: title, help: help, alerts: alerts, width: 4, height: 3, draw: figure, unit: unit, queries: []query{{expr: expr}}, nothing: word{"unknown", "purple"}}
	}
	none := from("green", at(1, "red"))
	noRequests, noRelay := word{"no requests", "semi-dark-blue"}, word{"no relay", "semi-dark-blue"}

	up := stat("Projectors", "short", `count(projector_last_progress_timestamp_seconds{<all>}) or vector(0)`, "ProjectorDown",
		"Replicas of `projector run` that Prometheus reads. Good: as many as were started; 0 is an outage, though documents are still served.")
	up.good = from("red", at(1, "green"))
	beat := stat("Heartbeat", "s", `time() - min(projector_last_progress_timestamp_seconds{<all>})`, "ProjectorNotProgressing ProjectorDown",
		"How long ago the slowest replica last wrote a checkpoint. It beats every second, also while the stream is idle or projecting is paused. Good: below 15 s, the scrape interval included.")
	beat.good = from("green", at(15, "yellow"), at(60, "red"))
	lag := stat("Lag", "s", `max(projector_lag_seconds{<all>})`, "ProjectorLagGrowing ProjectorNotProgressing",
		"How long the oldest message waits that is not in the documents, or how long that could not be learned. Good: 0, and a few seconds while producers burst.")
	lag.good = from("green", at(10, "yellow"), at(60, "red"))
	problems := stat("Refused or failing", "short", `sum(max by (class, reason) (projector_problems{<all>})) or 0 * max(projector_partitions_unowned{<all>})`, "ProjectorRefused",
		"Partitions, or replicas, with a problem on record: a stream that is refused, or an error that comes again and again. It outlives the process. Good: 0; which reason it is says the row of partitions.")
	problems.good = none
	unowned := stat("Partitions unowned", "short", `max(projector_partitions_unowned{<all>})`, "ProjectorPartitionsUnowned",
		"Partitions of the live generation that no live replica projects. Good: 0; for a few seconds more while a replica is replaced.")
	unowned.good = none
	paused := stat("Paused", "short", `max(projector_paused{<all>})`, "ProjectorPaused",
		"Whether projecting was paused by `projector pause`. Good: no, but for maintenance; `projector status` says since when and why, `projector resume` ends it.")
	paused.words = map[string]word{"0": {"no", "green"}, "1": {"paused", "orange"}}

	parked := stat("Parked events", "short", `sum(projector_parked_events{<all>})`, "ProjectorEventsParked",
		"Events that no fold accepts and nobody has dismissed. Their accounts go on without them. Good: 0; `projector parked list --group-by reason` says what they are.")
	parked.good = from("green", at(1, "yellow"), at(100, "red"))
	audit := stat("Audit differences, 1 d", "short", `ceil(sum(increase(projector_verify_differences_total{<all>}[1d])))`, "ProjectorAuditDifferences",
		"Accounts of which the audit found within a day that what is stored is not what their messages fold to. Good: 0, always: `projector verify --all` looks at every account.")
	audit.good = none
	contract := stat("Stream off contract", "short", `sum(max by (what) (projector_stream_off_contract{<all>})) or 0 * max(projector_stream_partitions{<all>})`, "ProjectorStreamOffContract",
		"Settings of the stream by which history could be lost, though none is yet. Good: 0; `projector status` names them, `nats stream edit` mends them.")
	contract.good = from("green", at(1, "orange"))
	unfinished := stat("Erasures unfinished", "short", `max(projector_erasures_unfinished{<all>})`, "ProjectorErasureUnfinished",
		"Accounts whose erasure was begun and is not proved. Good: 0, and 1 while somebody erases; `projector erase` of the same account goes on.")
	unfinished.good = none
	ledger := stat("Ledger exported", "s", `max(projector_erasures_export_age_seconds{<all>})`, "ProjectorLedgerNotExported",
		"How long ago the ledger of erasures was exported to where the loss of the database does not reach; 0 where it is empty. Good: less than a day and an hour.")
	ledger.good = from("green", at(25*3600, "orange"), at(48*3600, "red"))
	abandoned := stat("Building generation", "short", `max(projector_generation_abandoned{<all>})`, "ProjectorGenerationAbandoned",
		"Whether a generation is building that nobody works on. Good: no; `projector rebuild` goes on with it, `projector generations drop` ends it.")
	abandoned.words = map[string]word{"0": {"none abandoned", "green"}, "1": {"abandoned", "orange"}}

	apis := stat("APIs", "short", `count(export_database_up{<all>}) or vector(0)`, "ApiDown",
		"Replicas of `api` that Prometheus reads. Good: as many as were started; 0 is an outage for every reader.")
	apis.good = from("red", at(1, "green"))
	database := stat("Database", "short", `min(export_database_up{<all>})`, "ApiDatabaseDown",
		"Whether every API can read exports. Good: up. While it is not, readers get 503.")
	database.words = map[string]word{"0": {"away", "red"}, "1": {"up", "green"}}
	burn := stat("Objective burn, 1 h", "none", `sum(rate(export_objective_missed_total{<all>}[1h])) / (sum(rate(export_objective_requests_total{<all>}[1h])) > 0) / 0.001`, "ApiObjectiveBurningFast ApiObjectiveBurningSlow",
		"How many times faster than allowed readers are failed: 1 uses up exactly what the objective of 99.9 % leaves (the first byte within 50 ms, and no 5xx; accounts on their way and requests that prefer to wait left out). Good: below 1; at 14.4 the month's allowance is gone in two days.")
	burn.good = from("green", at(1, "yellow"), at(6, "orange"), at(14.4, "red"))
	burn.nothing = noRequests
	first := stat("First byte, p99", "s", `histogram_quantile(0.99, sum by (le) (rate(export_time_to_first_byte_seconds_bucket{<all>}[5m])))`, "ApiObjectiveBurningFast ApiObjectiveBurningSlow",
		"Within which time 99 of 100 answers of the last five minutes began; requests that wait for a position are among them. Good: below 50 ms.")
	first.good = from("green", at(0.05, "yellow"), at(0.5, "red"))
	first.nothing = noRequests
	relay := stat("Relay: oldest waiting", "s", `max(relay_oldest_pending_seconds{<all>})`, "RelayBehind RelayDown",
		"How long the oldest event in the outbox has waited to be published, or how long the outbox could not be read. Good: 0, and a few seconds in a burst. Nothing is lost while it waits.")
	relay.good = from("green", at(10, "yellow"), at(60, "red"))
	relay.nothing = noRelay
	refused := stat("Relay: refused", "short", `max(relay_refused_messages{<all>})`, "RelayRefused",
		"Events in the outbox that JetStream refuses, or of which the row was changed by hand. Each holds up its account. Good: 0.")
	refused.good = none
	refused.nothing = noRelay

	firing := panel{title: "Alerts that fire", width: 8, height: 8, draw: list, nothing: word{text: "none"},
		help:    "What Prometheus's rules say. Good: none. The heading of that name in doc/runbook.md says what to do.",
		queries: []query{{expr: `sum by (severity, alertname) (ALERTS{alertstate="firing",<all>})`}}}
	waiting := panel{title: "Lag", width: 8, height: 8, draw: lines, unit: "s", alerts: "ProjectorLagGrowing",
		help:    "Whether it grows or shrinks. Good: flat, near 0.",
		queries: []query{{`max(projector_lag_seconds{<all>})`, "projector"}, {`max(relay_oldest_pending_seconds{<all>})`, "relay"}}}
	answers := panel{title: "Answers a second, by status", width: 8, height: 8, draw: lines, unit: "reqps", alerts: "ApiObjectiveBurningFast ApiDatabaseDown", stacked: true,
		help:    "Good: mostly 200 and 304. Of 503, incomplete and position are accounts on their way; busy, database and other are an outage.",
		queries: []query{{`sum by (code, reason) (rate(export_requests_total{<all>}[$__rate_interval])) > 0`, "{{code}} {{reason}}"}}}

	return []panel{
		up, beat, lag, problems, unowned, paused,
		parked, audit, contract, unfinished, ledger, abandoned,
		apis, database, burn, first, relay, refused,
		firing, waiting, answers,
	}
}
