package console

import "github.com/gorilla/mux"

// routeStream adds the screens of this file.
func (c *Console) routeStream(m *mux.Router) {}

// erasureActs are the acts of erasing.
func erasureActs() []act { return nil }
