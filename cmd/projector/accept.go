package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"accountexport/internal/acts"
)

func (p *program) accept() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "accept [--yes] [--json]",
		Short: "Let the live generation go on with a stream that `run` refuses, where that is sound",
		Long: "Says what `projector run` refuses and what accepting it gives up, and does so only with --yes.\n\n" +
			"A stream that begins after the checkpoint: what is gone unread is given up; documents stay as they are, and are no longer\n" +
			"refolded or audited, since the stream cannot account for them.\n\n" +
			"Another stream, or one that was recreated: only where it holds the same messages at the same positions, as a copy or a\n" +
			"mirror does. The position of every account, and then every document, is held against it first, whatever id the stream\n" +
			"has. Nothing is given up.\n\n" +
			"A stream of which messages are missing that no erasure removed: they are taken for lost; documents stay as they are.\n\n" +
			"A stream that lacks erasures which the ledger knows, since it was restored from before them: they are carried out in it\n" +
			"anew, also where it was accepted for another reason.\n\n" +
			"A stream that ends before the checkpoint is not accepted: positions that clients know would be given out again. Nor is\n" +
			"another number of partitions, which a rebuild takes on without a loss.",
		Example: "  # What does `projector run` refuse, and what would accepting it give up? Changes nothing.\n" +
			"  projector accept\n" +
			"  # Accept that.\n" +
			"  projector accept --yes",
		RunE: p.onTarget(func(ctx context.Context, on acts.Target) error {
			out, found := p.notes(), []string{}
			a := &acts.Acceptor{Target: on, Yes: p.yes, OnAccepted: func(it acts.Acceptance) error { return printAccepted(out, it) },
				OnFound: func(it acts.Acceptance) error {
					found = append(found, acceptanceName(it))
					return printAcceptance(out, it)
				}}
			accept := func() error {
				accepted, err := a.Accept(ctx)
				if p.asJSON && (err == nil || len(found) > 0) {
					return errors.Join(p.printJSON(acceptedLine{accepted.Generation, accepted.Stream, found, err == nil && len(found) > 0}), err)
				}
				if err == nil && accepted.Things == 0 {
					_, err = fmt.Fprintf(p.out, "generation %d and stream %s belong together: there is nothing to accept\n", accepted.Generation, accepted.Stream)
				}
				return err
			}
			if p.yes {
				return p.act(ctx, on.Pool, acts.Accept, nil, "", accept)
			}
			if err := p.look(ctx, on.Pool, acts.AcceptViewed, nil, ""); err != nil {
				return err
			}
			return accept()
		}),
	}
	p.yesFlag(cmd, "do it")
	p.jsonFlag(cmd, jsonAndNotes)
	return cmd
}

// acceptedLine is the result as JSON.
type acceptedLine struct {
	Generation int64    `json:"generation"`
	Stream     string   `json:"stream"`
	Found      []string `json:"found"`    // what `run` refuses: missing, loss, stream, erasures
	Accepted   bool     `json:"accepted"` // with --yes, where anything was found
}

// acceptanceName names a kind of acceptance in JSON.
func acceptanceName(it acts.Acceptance) string {
	switch it.What {
	case acts.AcceptMissing:
		return "missing"
	case acts.AcceptLoss:
		return "loss"
	case acts.AcceptStream:
		return "stream"
	}
	return "erasures"
}

// printAcceptance says what is found, and what accepting it gives up.
func printAcceptance(out io.Writer, it acts.Acceptance) error {
	number, info := it.Generation.Number, it.Info
	switch it.What {
	case acts.AcceptMissing:
		printLost(out, &it.Lost)
		unread := "all of them were folded before they went missing, and nothing is lost to the documents"
		if it.Unread > 0 {
			unread = fmt.Sprintf("%d of them at most were never read, and what they changed is missing there", it.Unread)
		}
		fmt.Fprintf(out, "Accepting takes them for lost. Documents stay as they are: %s. From then on\n"+
			"`projector refold` leaves accounts alone whose messages they were, and `projector verify --all` names those.\n", unread)
	case acts.AcceptLoss:
		fmt.Fprintf(out, "Stream %s begins at %d, and generation %d has read it up to %d. Accepting gives up messages %d to %d: what they\n"+
			"changed will be missing from the documents, which stay as they are. From then on `refold` and `parked retry` refuse, nothing is\n"+
			"audited, and `verify` names the accounts whose messages are gone, until `projector rebuild` has made a generation of what there is.\n",
			info.Name, info.First, number, it.Lowest, it.Lowest+1, info.First-1)
	case acts.AcceptStream:
		fmt.Fprintf(out, "Stream %s, created %s, holds the same messages at the same positions as stream %s, created %s, did: all of %d accounts\n"+
			"fold to what is stored. Accepting gives up nothing.\n", info.Name, info.Created.UTC(), it.Generation.Stream.Name, it.Generation.Stream.Created.UTC(), it.Compared)
	case acts.AcceptErasures:
		printUnfinished(out, info.Name, it.Erasures)
		printServed(out, it.Served)
		fmt.Fprintf(out, "Accepting erases them anew: the same event is published where it lacks, and what else stream and tables hold of them is removed.\n")
	}
	return nil
}

// printAccepted says that it was accepted.
func printAccepted(out io.Writer, it acts.Acceptance) (err error) {
	number := it.Generation.Number
	switch it.What {
	case acts.AcceptMissing:
		_, err = fmt.Fprintf(out, "accepted: generation %d goes on without them\n", number)
	case acts.AcceptLoss:
		_, err = fmt.Fprintf(out, "accepted: generation %d goes on at %d\n", number, it.Info.First)
	case acts.AcceptStream:
		_, err = fmt.Fprintf(out, "accepted: generation %d goes on with stream %s\n", number, it.Info.Name)
	case acts.AcceptErasures:
		printReplayed(out, len(it.Erasures), it.Info.Name)
	}
	return err
}
