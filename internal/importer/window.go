package importer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"accountexport/internal/ingest"
	"accountexport/internal/stream"
)

// window publishes a window, and notes it as done; where the server refuses a line,
// up to that line.
func (r *importRun) window(ctx context.Context, b batch) error {
	if len(b.items) > 0 {
		if err := r.publishWindow(ctx, b); err != nil {
			return err
		}
	}
	if b.err != nil {
		return r.fits(r.noted(b.err))
	}
	return nil
}

func (r *importRun) publishWindow(ctx context.Context, b batch) error {
	after, err := r.begin(ctx, b)
	if err != nil {
		return err
	}
	finishing, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer context.AfterFunc(ctx, func() {
		select {
		case <-time.After(r.opt.Grace):
			stop()
		case <-finishing.Done():
		}
	})()
	out, err := r.publishEach(finishing, b, after)
	switch {
	case err != nil && ctx.Err() != nil && errors.Is(err, context.Canceled):
		return ctx.Err()
	case err != nil:
		return b.lineError(err)
	case len(out.refused) > 0:
		return r.refused(b, out, after)
	}
	r.done(b, out, len(b.items))
	return nil
}

// begin notes that a window is being published, and tells behind which position its
// messages are to be searched for.
func (r *importRun) begin(ctx context.Context, b batch) (after uint64, err error) {
	now := &r.file.now
	if b.tried {
		return now.Window.After, nil
	}
	if after, err = r.publisher.Mark(ctx); err != nil {
		return 0, r.noted(err)
	}
	if now.Ahead != nil {
		after = min(after, now.Ahead.After)
	}
	now.Window = &window{b.end(), after}
	if err := r.file.write(); err != nil {
		return 0, fmt.Errorf("%w: lines from %d on were not published", err, b.numbers[0])
	}
	return after, nil
}

// outcome is what became of a window's items.
type outcome struct {
	acks    []ingest.Ack // by item; without a position where there is none
	refused []refusal    // in the order of the lines
}

type refusal struct {
	index int
	err   error
}

// publishEach publishes all items that the server takes. One that it refuses keeps
// back those behind it on its subject, and no others, so that afterwards it is known
// of every item whether it is there. Of many refusals the later ones are not awaited:
// only what comes before the first of them is.
func (r *importRun) publishEach(ctx context.Context, b batch, after uint64) (out outcome, err error) {
	out.acks = make([]ingest.Ack, len(b.items))
	blocked := map[string]bool{}
	left := make([]int, len(b.items))
	for i := range left {
		left[i] = i
	}
	for len(left) > 0 {
		items := make([]ingest.Item, len(left))
		for n, i := range left {
			items[n] = b.items[i]
			items[n].Tried = items[n].Tried || len(out.refused) > 0 // the call before this one may have sent it
		}
		err := r.publisher.Publish(ctx, items, after, func(n int, a ingest.Ack) { out.acks[left[n]] = a })
		item := (*ingest.ItemError)(nil)
		switch {
		case err == nil:
			return out, nil
		case !errors.As(err, &item) || !stream.RefusesMessage(item.Err) && !errors.As(item.Err, new(*ingest.CollisionError)):
			return out, indexed(err, left)
		}
		which := left[item.Index]
		out.refused = append(out.refused, refusal{which, item.Err})
		slices.SortFunc(out.refused, func(a, b refusal) int { return a.index - b.index })
		blocked[b.items[which].Message.Subject] = true
		left = slices.DeleteFunc(left, func(i int) bool {
			return out.acks[i].Position > 0 || blocked[b.items[i].Message.Subject] ||
				len(out.refused) >= shownLines && i > out.refused[0].index
		})
	}
	return out, nil
}

// indexed is an error of a call with these items as one of the window.
func indexed(err error, items []int) error {
	item := (*ingest.ItemError)(nil)
	if errors.As(err, &item) {
		return &ingest.ItemError{Index: items[item.Index], Err: item.Err}
	}
	return err
}

// done notes a window's first lines as published.
func (r *importRun) done(b batch, out outcome, lines int) {
	now := &r.file.now
	for i, a := range out.acks[:lines] {
		switch {
		case a.Erased:
			now.Erased++
			continue
		case a.Found:
			now.Found++
		default:
			now.Published++
		}
		if b.parked[i] {
			now.Parked++
		}
		if a.Position > now.Last {
			now.Last, now.LastMessage = a.Position, &message{b.items[i].Message.Subject, digestOf([]byte(b.items[i].ID))}
		}
	}
	now.Done, now.Window = b.start, nil
	if lines > 0 {
		now.Done = b.ends[lines-1]
	}
	now.Ahead = now.Ahead.without(b.items[:lines])
	r.lines += int64(lines)
}

// refused notes what is done before the first line that the server refuses, and what
// is published already behind it: the lines between may be mended.
func (r *importRun) refused(b batch, out outcome, after uint64) error {
	first := out.refused[0].index
	kept := map[string]bool{} // subjects of which nothing more was sent
	for _, bad := range out.refused {
		kept[b.items[bad.index].Message.Subject] = true
	}
	r.done(b, out, first)
	behind := &ahead{After: after, Lines: map[digest]digest{}}
	if r.file.now.Ahead != nil {
		behind = r.file.now.Ahead.without(nil)
		behind.After = min(behind.After, after)
	}
	for _, bad := range out.refused {
		delete(behind.Lines, digestOf([]byte(b.items[bad.index].ID)))
	}
	for i := first + 1; i < len(b.items); i++ {
		subject := b.items[i].Message.Subject
		if out.acks[i].Position > 0 || !kept[subject] {
			behind.Lines[digestOf([]byte(b.items[i].ID))] = b.texts[i]
		}
		kept[subject] = kept[subject] || out.acks[i].Position == 0 // this one may have been sent, and none behind it
	}
	if len(behind.Lines) > 0 {
		r.file.now.Ahead = behind
	}
	var all []error
	for _, bad := range out.refused {
		all = append(all, &LineError{b.numbers[bad.index], b.offsets[bad.index], bad.err, false})
	}
	return r.noted(errors.Join(all...))
}

// lineError says of which line an error is.
func (b batch) lineError(err error) error {
	item, repeated := (*ingest.ItemError)(nil), (*ingest.RepeatedIDError)(nil)
	switch {
	case errors.As(err, &item):
		return fmt.Errorf("line %d (byte %d): %w", b.numbers[item.Index], b.offsets[item.Index], item.Err)
	case errors.As(err, &repeated):
		return &LineError{b.numbers[repeated.Second], b.offsets[repeated.Second], err, false}
	}
	return err
}
