// Command stepgate is Caddy with its standard modules and Stepgate's.
package main

import (
	"fmt"
	"os"
	_ "time/tzdata"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/stepgate/stepgate/caddymodule"
	_ "github.com/stepgate/stepgate/cmd/stepgate/demo"
)

func main() {
	refuseReplacement(os.Args)
	if caddy.CustomBinaryName == "" {
		caddy.CustomBinaryName = "stepgate"
	}
	if caddy.CustomLongDescription == "" {
		caddy.CustomLongDescription = about
	}
	caddycmd.Main()
}

const about = `Stepgate stands in front of web applications that nobody wants to change, and asks
their visitors for exactly the proof that the request at hand needs.

  stepgate demo                        try it: gateway, toy application and mailbox
  stepgate run --config Caddyfile      serve
  stepgate validate --config Caddyfile check a configuration
  stepgate check --config Caddyfile    see which routes have no gate in front of them
  stepgate policy check policy.yaml    check a policy
  stepgate policy explain policy.yaml  see what it decides, and why
  stepgate users invite EMAIL          let somebody in

It is Caddy with modules of its own: every other command of Caddy works, too.`

// refuseReplacement refuses the commands of Caddy that replace the running binary by one from
// its download service, which would come without the gateway.
func refuseReplacement(args []string) {
	if len(args) < 2 {
		return
	}
	switch args[1] {
	case "upgrade", "add-package", "remove-package":
		fmt.Fprintf(os.Stderr, "Error: %q would replace this program by one without Stepgate; install a new release instead\n", args[1])
		os.Exit(caddy.ExitCodeFailedStartup)
	}
}
