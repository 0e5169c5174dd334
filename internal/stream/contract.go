package stream

import (
	"fmt"
	"slices"

	"github.com/nats-io/nats.go/jetstream"

	"accountexport/projections/engine"
)

// differences lists the settings of a stream that contradict the contract and that
// Provision therefore refuses.
func differences(have, want jetstream.StreamConfig) []engine.Deviation {
	var out []engine.Deviation
	differ := func(what string, same bool, have, want any) {
		if !same {
			out = append(out, engine.Deviation{What: what, Have: fmt.Sprint(have), Want: fmt.Sprint(want)})
		}
	}
	unlimited := func(n int64) bool { return n <= 0 }
	differ("subjects", slices.Equal(have.Subjects, want.Subjects), have.Subjects, want.Subjects)
	differ("retention", have.Retention == want.Retention, have.Retention, want.Retention)
	differ("storage", have.Storage == want.Storage, have.Storage, want.Storage)
	differ("max_msgs", unlimited(have.MaxMsgs), have.MaxMsgs, "no limit")
	differ("max_bytes", unlimited(have.MaxBytes), have.MaxBytes, "no limit")
	differ("max_age", have.MaxAge == 0, have.MaxAge, "no limit")
	differ("max_msgs_per_subject", unlimited(have.MaxMsgsPerSubject), have.MaxMsgsPerSubject, "no limit")
	differ("max_msg_size", unlimited(int64(have.MaxMsgSize)), have.MaxMsgSize, "no limit")
	differ("sources", len(have.Sources) == 0, len(have.Sources), "none")
	differ("mirror", have.Mirror == nil, "set", "none")
	differ("republish", have.RePublish == nil, "set", "none")
	differ("no_ack", !have.NoAck, have.NoAck, false)
	differ("sealed", !have.Sealed, have.Sealed, "false: a sealed stream takes no message")
	differ("deny_delete", !have.DenyDelete, have.DenyDelete, "false: erasing an account deletes messages")
	differ("deny_purge", !have.DenyPurge, have.DenyPurge, "false: erasing an account purges its subject")
	differ("allow_rollup_hdrs", !have.AllowRollup, have.AllowRollup, "false: a publisher could remove history")
	differ("allow_msg_ttl", !have.AllowMsgTTL, have.AllowMsgTTL, "false: a publisher could let history expire")
	differ("persist_mode", have.PersistMode == want.PersistMode, have.PersistMode, "default: what is acknowledged has to be on disk")
	return out
}

// deviations lists the settings of a stream that put history at risk or keep a
// command from working, although nothing is lost yet. Discarding old messages has no
// effect while the stream has no limit, so Provision accepts it and it is listed only
// here.
func deviations(have jetstream.StreamConfig) []engine.Deviation {
	want := wanted(have.Name)
	out := differences(have, want)
	if have.Discard != want.Discard {
		out = append(out, engine.Deviation{What: "discard", Have: have.Discard.String(),
			Want: want.Discard.String() + ": a limit is to refuse what is new, not to remove history"})
	}
	if have.Metadata[idKey] == "" {
		out = append(out, engine.Deviation{What: idSetting, Have: "missing",
			Want: "one in its metadata, so that it can be told from another; `projector provision` writes it"})
	}
	return out
}

// noTransform is the refusal of a stream whose subject transform is missing or is not
// the contract's: the partition of its messages is unknown. A mirror has no
// transform.
func noTransform(cfg jetstream.StreamConfig, cause error) error {
	stream := cfg.Name
	if cfg.Mirror != nil {
		return fmt.Errorf("%w: %w: stream %s is a mirror of stream %s, and has no subject transform. Nothing was changed, and what is there is still "+
			"served. Ways out: set STREAM to %s, where that is there; or where it is lost, have the mirror take its place (`nats stream edit` without "+
			"its mirror, with subjects '%s' and the subject transform from '%s' to '%s', with the number of partitions that the other had)",
			engine.ErrRefused, engine.ErrPartitions, stream, cfg.Mirror.Name, cfg.Mirror.Name, published, published, destination(DefaultPartitions))
	}
	return fmt.Errorf("%w: %w: stream %s: %w. Nothing was changed, and what is there is still served. Way out: restore the stream's subject "+
		"transform (`nats stream edit %s --force --transform-source='%s' --transform-destination='%s'`, with the number of partitions that it had, which"+
		" `projector status` lists); "+
		"what was stored without it meanwhile is folded in its place. `projector rebuild` needs it, too, and there is nothing to accept",
		engine.ErrRefused, engine.ErrPartitions, stream, cause, stream, published, destination(DefaultPartitions))
}
