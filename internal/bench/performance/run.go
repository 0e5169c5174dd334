package main

import (
	"encoding/json"
	"fmt"
	"math"
	"time"
)

// run is the file that make bench writes.
type run struct {
	Began    time.Time
	Seconds  float64
	Short    bool
	Commit   string
	Machine  machine
	Versions map[string]string
	Results  []result
}

type machine struct {
	OS, Kernel, Arch, CPU, Memory string
	Cores                         int
	Load                          string `json:"load at the end"`
}

// result is one figure.
type result struct {
	Title, What, Unit       string
	Median, Least, Greatest float64
	Turns                   int
}

func parseRun(text []byte) (*run, error) {
	r := &run{}
	if err := json.Unmarshal(text, r); err != nil {
		return nil, err
	}
	if len(r.Results) == 0 {
		return nil, fmt.Errorf("it has no results, and is to be what make bench wrote")
	}
	return r, nil
}

// table are the figures with a title, in the order in which they were taken.
func (r *run) table(title string) (rows []result, err error) {
	for _, is := range r.Results {
		if is.Title == title {
			rows = append(rows, is)
		}
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("no table is called %q", title)
	}
	return rows, nil
}

// median is that of one figure, which is named by its title, a slash, and what it is.
func (r *run) median(name string) (float64, error) {
	for _, is := range r.Results {
		if is.Title+" / "+is.What == name {
			return is.Median, nil
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
