package console

import "github.com/gorilla/mux"

// routeAudit adds the screens of this file.
func (c *Console) routeAudit(m *mux.Router) {}
