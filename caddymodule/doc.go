// Package caddymodule makes Stepgate a Caddy module: the app that holds the engine, the
// handler that gates a route, the guests for stores, senders and factors, the admin API and
// the commands. It and the binary are the only packages that know Caddy.
package caddymodule
