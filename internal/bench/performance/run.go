package main

import (
	"encoding/json"
	"fmt"
	"math"
	"time"
)

// run is the file that make bench writes.
type run struct {
	Began    time.Time         `json:"began"`
	Seconds  float64           `json:"seconds"`
	Short    bool              `json:"short"`
	Commit   string            `json:"commit"`
	Machine  machine           `json:"machine"`
	Versions map[string]string `json:"versions"`
	Results  []result          `json:"results"`
}

type machine struct {
	OS     string `json:"os"`
	Kernel string `json:"kernel"`
	Arch   string `json:"arch"`
	CPU    string `json:"cpu"`
	Memory string `json:"memory"`
	Cores  int    `json:"cores"`
	Load   string `json:"load at the end"`
}

// result is one figure.
type result struct {
	Benchmark string  `json:"benchmark"`
	Title     string  `json:"title"`
	What      string  `json:"what"`
	Unit      string  `json:"unit"`
	Median    float64 `json:"median"`
	Least     float64 `json:"least"`
	Greatest  float64 `json:"greatest"`
	Turns     int     `json:"turns"`
}

// runs are the parts of one run, each with other benchmarks. What is compared with each
// other stands in one table, and so is of one part.
type runs struct {
	Runs []*run `json:"runs"`
}

// parseRuns reads a file of make bench, or one of several parts.
func parseRuns(text []byte) (*runs, error) {
	all := &runs{}
	if err := json.Unmarshal(text, all); err != nil {
		return nil, err
	}
	if all.Runs == nil {
		one := &run{}
		if err := json.Unmarshal(text, one); err != nil {
			return nil, err
		}
		all.Runs = []*run{one}
	}
	for _, r := range all.Runs {
		if len(r.Results) == 0 {
			return nil, fmt.Errorf("it has no results, and is to be what make bench wrote")
		}
	}
	return all, nil
}

// check refuses a table of which two parts have figures.
func (all *runs) check() error {
	of := map[string]*run{}
	for _, r := range all.Runs {
		for _, is := range r.Results {
			if before := of[is.Title]; before != nil && before != r {
				return fmt.Errorf("two runs have the table %q: that of %v, and that of %v; leave one out", is.Title, before.Began, r.Began)
			}
			of[is.Title] = r
		}
	}
	return nil
}

// table are the figures with a title, in the order in which they were taken, and the part
// that they are of.
func (all *runs) table(title string) (rows []result, of *run, err error) {
	for _, r := range all.Runs {
		for _, is := range r.Results {
			if is.Title == title {
				rows, of = append(rows, is), r
			}
		}
	}
	if len(rows) == 0 {
		return nil, nil, fmt.Errorf("no table is called %q", title)
	}
	return rows, of, nil
}

// median is that of one figure, which is named by its title, a slash, and what it is.
func (all *runs) median(name string) (float64, error) {
	for _, r := range all.Runs {
		for _, is := range r.Results {
			if is.Title+" / "+is.What == name {
				return is.Median, nil
			}
		}
	}
	return 0, fmt.Errorf("no figure is called %q", name)
}

// number has three significant digits, and groups of thousands; whole ones have all
// digits.
func number(v float64) string {
	if v == math.Trunc(v) {
		return grouped(fmt.Sprintf("%.0f", v))
	}
	switch abs := max(v, -v); {
	case abs >= 100:
		return grouped(fmt.Sprintf("%.0f", v))
	case abs >= 10:
		return fmt.Sprintf("%.1f", v)
	case abs >= 1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

func grouped(digits string) string {
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
