package policy

import (
	"fmt"
	"net/netip"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// inNet is the function inNet(address, network): whether an address, as text, is in a network
// or is the one address given. The second may be a list, of which one is enough.
func inNet() cel.EnvOption {
	return cel.Function("inNet",
		cel.Overload("in_net_string_string", []*cel.Type{cel.StringType, cel.StringType}, cel.BoolType,
			cel.BinaryBinding(inOneNet)),
		cel.Overload("in_net_string_list", []*cel.Type{cel.StringType, cel.ListType(cel.StringType)}, cel.BoolType,
			cel.BinaryBinding(inAnyNet)))
}

func inOneNet(address, network ref.Val) ref.Val {
	a, ok1 := address.(types.String)
	n, ok2 := network.(types.String)
	if !ok1 || !ok2 {
		return types.MaybeNoSuchOverloadErr(address)
	}
	ip, err := netip.ParseAddr(string(a))
	if err != nil {
		return types.WrapErr(err)
	}
	p, err := parseNet(string(n))
	if err != nil {
		return types.WrapErr(err)
	}
	return types.Bool(p.Contains(ip.Unmap().WithZone("")))
}

func inAnyNet(address, networks ref.Val) ref.Val {
	list, ok := networks.(traits.Lister)
	if !ok {
		return types.MaybeNoSuchOverloadErr(networks)
	}
	for i := list.Iterator(); i.HasNext() == types.True; {
		if in := inOneNet(address, i.Next()); in != types.False {
			return in
		}
	}
	return types.False
}

// parseNet reads a network, or an address as a network of one host.
func parseNet(s string) (netip.Prefix, error) {
	if ip, err := netip.ParseAddr(s); err == nil && ip.Zone() == "" {
		ip = ip.Unmap()
		return netip.PrefixFrom(ip, ip.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, fmt.Errorf("%q is not an address or network such as 10.0.0.0/8", s)
	}
	if p.Addr().Is4In6() {
		if p.Bits() < 96 {
			return p, fmt.Errorf("%q covers IPv4 and IPv6; write them apart", s)
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	if p.Masked() != p {
		return p, fmt.Errorf("%q has host bits set; did you mean %s?", s, p.Masked())
	}
	return p, nil
}

// netValidator finds networks that are wrong.
type netValidator struct{}

// Name is the validator's name in CEL.
func (netValidator) Name() string { return "stepgate.net" }

// Validate looks at each call.
func (netValidator) Validate(_ *cel.Env, _ cel.ValidatorConfig, a *ast.AST, issues *cel.Issues) {
	for _, call := range ast.MatchDescendants(ast.NavigateAST(a), ast.FunctionMatcher("inNet")) {
		args := call.AsCall().Args()
		if len(args) != 2 {
			continue
		}
		networks := []ast.Expr{args[1]}
		if args[1].Kind() == ast.ListKind {
			networks = args[1].AsList().Elements()
		}
		for _, n := range networks {
			network, ok := literal(n)
			if !ok {
				continue // a variable, or a claim: judged when it is evaluated
			}
			if _, err := parseNet(network); err != nil {
				issues.ReportErrorAtID(n.ID(), "%v", err)
			}
		}
	}
}
