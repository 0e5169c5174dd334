// Package console is the operator's console: pages that show how projecting is doing,
// an account with its history, parked messages, generations, the stream and erasures,
// and that let whoever may act do what the projector's commands do.
//
// # How it is made
//
// A [Console] is an http.Handler over package acts. Each screen is a view, a struct that
// is made for one request (a file a screen), of which the page is rendered by html/template, and which
// /api/ beside the same path gives as JSON. Nothing is built: templates, style and script
// are embedded. Without a script every page can be read and every act be done; with it,
// pages follow what happens by server-sent events of /events.
//
// # Guarantees
//
//   - Reading changes nothing but the audit: every look at an account, and every act, is a
//     line of it, which is written before anything is shown or done.
//   - Acts are refused by the server unless [Config.AllowActs] is set, whatever a page
//     shows. They are the acts of package acts, with all their checks.
//   - However many consoles are open, the read model is looked at once a second at most for
//     all of them together.
//   - What of personal data is shown is decided here, by [Config.Privacy], before anything
//     is rendered: masked values never reach a browser.
//   - A request is answered only to whoever may ask, see [Config.UserHeader], and an act is
//     done only for a page of the console's own origin.
//   - No page asks another host for anything, and no page runs a script that is not the
//     console's own (Content-Security-Policy).
//
// # What an error means
//
// Pages say in words what was wrong and what would be right; /api/ answers
// application/problem+json. A server that cannot be reached is named, with since when.
package console
