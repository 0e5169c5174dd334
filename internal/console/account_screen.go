package console

import "github.com/gorilla/mux"

// routeAccounts adds the screens of this file.
func (c *Console) routeAccounts(m *mux.Router) {}

// accountActs are the acts of an account's screen.
func accountActs() []act { return nil }
