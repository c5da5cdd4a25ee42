package policy

import (
	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/checker"
)

// sizes estimates how large the things are that an expression reads. What comes from a request
// is held to it (fields.go); what comes from users and sessions is in the hands of operators.
type sizes struct{}

const (
	maxGroups  = 1000
	maxFactors = 64
	maxClaim   = 1000 // entries of a claim, or characters
)

// EstimateSize is the largest size of a node that stands for something given.
func (sizes) EstimateSize(node checker.AstNode) *checker.SizeEstimate {
	upTo := func(n uint64) *checker.SizeEstimate { return &checker.SizeEstimate{Max: n} }
	path := node.Path()
	at := func(i int) string {
		if i < len(path) {
			return path[i]
		}
		return ""
	}
	text := node.Type().Kind() == cel.StringKind
	switch {
	case at(0) == "claims", at(1) == "custom_claims":
		return upTo(maxClaim)
	case at(1) == "groups" && !text:
		return upTo(maxGroups)
	case at(1) == "authentication_factors" && !text:
		return upTo(maxFactors)
	case at(0) == "request" && !text:
		return upTo(maxEntries)
	case at(0) == "user", at(0) == "session":
		return upTo(maxClaim)
	case text, node.Type().Kind() == cel.DynKind:
		return upTo(maxText)
	}
	return upTo(maxClaim)
}

// EstimateCallCost knows no functions that CEL does not.
func (sizes) EstimateCallCost(string, string, *checker.AstNode, []checker.AstNode) *checker.CallEstimate {
	return nil
}
