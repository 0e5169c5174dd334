package console

import (
	"log/slog"
	"net/http"
	"time"
)

// Server is an HTTP server of the console. A client has a time for each of its parts of a
// request, and for taking the answer. What a page follows is longer than any of them, and
// has a time for each piece instead.
func (c *Console) Server() *http.Server {
	return &http.Server{
		Handler:           c,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      2 * time.Minute, // longer than any page takes to be made
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(c.log.Handler(), slog.LevelWarn),
	}
}
