// Command stepgate is Caddy with its standard modules and Stepgate's.
package main

import (
	_ "time/tzdata"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/stepgate/stepgate/caddymodule"
	_ "github.com/stepgate/stepgate/cmd/stepgate/demo"
)

func main() {
	caddycmd.Main()
}
