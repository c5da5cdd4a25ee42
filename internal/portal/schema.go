package portal

import (
	"net/http"

	"github.com/stepgate/stepgate/policy"
)

// routeSchemas serves the JSON Schemas of policy files, for editors. They are the same for
// every site and tell nothing about this one.
func (p *Portal) routeSchemas() {
	for name, body := range map[string][]byte{"policy": policy.Schema(), "cases": policy.CasesSchema()} {
		p.mux.HandleFunc("GET "+Prefix+"schema/"+name+".json", func(w http.ResponseWriter, _ *http.Request) {
			h := w.Header()
			h.Set("Content-Type", "application/schema+json")
			h.Set("X-Content-Type-Options", "nosniff")
			h.Set("Cache-Control", "public, max-age=3600")
			// A client that has gone away is no event.
			_, _ = w.Write(body)
		})
	}
}
