package stream

import (
	"fmt"
	"slices"

	"github.com/nats-io/nats.go/jetstream"

	"accountexport/projections/engine"
)

// Setting is a setting of a stream, held against the contract.
type Setting struct {
	What  string // by the server's name for it
	Have  string
	Want  string
	Right bool
}

// compare holds the settings of a stream against those that Provision insists on.
func compare(have, want jetstream.StreamConfig) (all []Setting) {
	hold := func(what string, right bool, have, want any) {
		all = append(all, Setting{what, fmt.Sprint(have), fmt.Sprint(want), right})
	}
	limit := func(what string, n int64) {
		if n <= 0 {
			hold(what, true, "no limit", "no limit")
		} else {
			hold(what, false, n, "no limit")
		}
	}
	none := func(what string, is bool, have any) {
		if is {
			have = "none"
		}
		hold(what, is, have, "none")
	}
	hold("subjects", slices.Equal(have.Subjects, want.Subjects), have.Subjects, want.Subjects)
	hold("retention", have.Retention == want.Retention, have.Retention, want.Retention)
	hold("storage", have.Storage == want.Storage, have.Storage, want.Storage)
	limit("max_msgs", have.MaxMsgs)
	limit("max_bytes", have.MaxBytes)
	if have.MaxAge == 0 {
		hold("max_age", true, "no limit", "no limit")
	} else {
		hold("max_age", false, have.MaxAge, "no limit")
	}
	limit("max_msgs_per_subject", have.MaxMsgsPerSubject)
	limit("max_msg_size", int64(have.MaxMsgSize))
	none("sources", len(have.Sources) == 0, len(have.Sources))
	none("mirror", have.Mirror == nil, "set")
	none("republish", have.RePublish == nil, "set")
	hold("no_ack", !have.NoAck, have.NoAck, false)
	hold("sealed", !have.Sealed, have.Sealed, "false: a sealed stream takes no message")
	hold("deny_delete", !have.DenyDelete, have.DenyDelete, "false: erasing an account deletes messages")
	hold("deny_purge", !have.DenyPurge, have.DenyPurge, "false: erasing an account purges its subject")
	hold("allow_rollup_hdrs", !have.AllowRollup, have.AllowRollup, "false: a publisher could remove history")
	hold("allow_msg_ttl", !have.AllowMsgTTL, have.AllowMsgTTL, "false: a publisher could let history expire")
	hold("persist_mode", have.PersistMode == want.PersistMode, have.PersistMode, "default: what is acknowledged has to be on disk")
	return all
}

// differences lists the settings of a stream that contradict the contract and that
// Provision therefore refuses.
func differences(have, want jetstream.StreamConfig) []engine.Deviation {
	return wrong(compare(have, want))
}

// wrong are those of the settings that are not as the contract wants them.
func wrong(all []Setting) (out []engine.Deviation) {
	for _, s := range all {
		if !s.Right {
			out = append(out, engine.Deviation{What: s.What, Have: s.Have, Want: s.Want})
		}
	}
	return out
}

// settings holds all settings of a stream against the contract that it has something to
// say about, but for the subject transform. Discarding old messages has no effect while
// the stream has no limit, so Provision accepts it.
func settings(have jetstream.StreamConfig) []Setting {
	want := wanted(have.Name)
	id := Setting{What: idSetting, Have: have.Metadata[idKey], Right: have.Metadata[idKey] != "",
		Want: "one in its metadata, so that it can be told from another; `projector provision` writes it"}
	if !id.Right {
		id.Have = "missing"
	}
	return append(compare(have, want), Setting{"discard", have.Discard.String(),
		want.Discard.String() + ": a limit is to refuse what is new, not to remove history", have.Discard == want.Discard}, id)
}

// deviations lists the settings of a stream that put history at risk or keep a
// command from working, although nothing is lost yet.
func deviations(have jetstream.StreamConfig) []engine.Deviation { return wrong(settings(have)) }

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
